//! Errors as a person reads them: the line, with a caret under the place.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::error::ParseError;

/// Most bytes of a line that are shown on either side of the place.
const MAX_CONTEXT_BYTES: usize = 100;

impl ParseError {
    /// The error with its line of `source` and a caret under the place, in plain text. `name` is the file's, and lines
    /// are numbered from 1.
    pub fn render(&self, source: &str, name: &str) -> String {
        self.render_with(source, name, &Renderer::plain())
    }

    /// As [`ParseError::render`], with ANSI colours.
    pub fn render_in_colour(&self, source: &str, name: &str) -> String {
        self.render_with(source, name, &Renderer::styled())
    }

    /// As [`ParseError::render`] or [`ParseError::render_in_colour`], with lines of the source cut to a terminal of so many
    /// columns.
    pub fn render_within(
        &self,
        source: &str,
        name: &str,
        colour: bool,
        width: Option<usize>,
    ) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        match width {
            Some(width) => self.render_with(source, name, &renderer.term_width(width)),
            None => self.render_with(source, name, &renderer),
        }
    }

    fn render_with(&self, source: &str, name: &str, renderer: &Renderer) -> String {
        let window = self.window(source);
        let shown = source.get(window.clone()).unwrap_or_default();
        let before = source.get(..window.start).unwrap_or_default();
        let start = self.offset.clamp(window.start, window.end) - window.start;
        let end = (start + self.length as usize).min(shown.len());
        let summary = self.summary();
        let snippet = Snippet::source(shown)
            .line_start(self.line as usize)
            .annotation(AnnotationKind::Primary.span(start..end));
        let title = Level::ERROR.primary_title(&summary);
        let mut group = if before.ends_with('\n') || before.is_empty() {
            title.element(snippet.path(name))
        } else {
            // The snippet begins within its line, so it can't tell the column.
            let place =
                Origin::path(name).line(self.line as usize).char_column(self.column as usize);
            title.element(place).element(snippet)
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint));
        }
        renderer.clone().decor_style(DecorStyle::Ascii).render(&[group])
    }

    /// The part of the source that is shown: the line, or what is near the place where the line is very long.
    fn window(&self, source: &str) -> Range<usize> {
        let offset = source.floor_char_boundary(self.offset);
        let before = source.get(..offset).unwrap_or_default();
        let behind = source.get(offset..).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = behind.find('\n').map_or(source.len(), |newline| offset + newline);
        let start =
            line_start.max(source.ceil_char_boundary(offset.saturating_sub(MAX_CONTEXT_BYTES)));
        start..line_end.min(source.floor_char_boundary(offset + MAX_CONTEXT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use crate::parse_statement;

    fn rendered(source: &str) -> String {
        parse_statement(source).expect_err("a statement with a mistake").render(source, "a.cql")
    }

    #[test]
    fn caret_stands_under_the_mistake() {
        let expected = "\
error: expected AS, ',' or FROM, found 'FORM'
 --> a.cql:2:3
  |
2 | b FORM t
  |   ^^^^
  |
  = help: did you mean `FROM`?";
        assert_eq!(rendered("SELECT a,\nb FORM t\nWHERE c = 1"), expected);
    }

    #[test]
    fn caret_stands_behind_the_end() {
        let expected = "\
error: expected a column name, found the end
 --> a.cql:1:22
  |
1 | SELECT * FROM t WHERE
  |                      ^";
        assert_eq!(rendered("SELECT * FROM t WHERE"), expected);
    }

    #[test]
    fn lines_are_cut_to_the_terminal() {
        let source = format!("SELECT {} FORM t", "a, ".repeat(60).trim_end_matches(", "));
        let error = parse_statement(&source).expect_err("a statement with a mistake");
        let text = error.render_within(&source, "a.cql", false, Some(40));
        let snippet = text.lines().skip(2).take(3);
        assert!(snippet.clone().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("FORM") && text.contains("^^^^"), "{text}");
    }

    #[test]
    fn only_the_place_is_shown_of_long_lines() {
        let source = format!(
            "SELECT {} FORM {}",
            "é, ".repeat(10_000).replace('é', "a"),
            "x".repeat(100_000)
        );
        assert!(rendered(&source).len() < 1_000, "{}", rendered(&source));
        assert!(rendered(&source).contains("a.cql:1:30014"), "{}", rendered(&source));
        let text = format!("SELECT '{}", "é\n".repeat(100_000));
        assert!(rendered(&text).len() < 1_000, "{}", rendered(&text));
    }
}
