//! HELP: topics on CQL and on the shell's commands.

mod topics;

use crate::command::backslash::FORMS;
use crate::command::error::CommandError;
use crate::copy;
use crate::suggest::nearest;

use topics::TOPICS;

/// A topic: its name, its form and what it does.
#[derive(Clone, Copy, Debug)]
struct Topic {
    name: &'static str,
    text: &'static str,
}

/// The names of all topics.
pub(crate) fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|topic| topic.name)
}

/// The text of a topic, or an overview without one.
pub(crate) fn text(topic: Option<&str>) -> Result<String, CommandError> {
    let Some(wanted) = topic else { return Ok(overview()) };
    let wanted = wanted.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    let wanted = match wanted.as_str() {
        "DESC" => "DESCRIBE",
        "QUIT" => "EXIT",
        "CLS" => "CLEAR",
        other => other,
    };
    if let Some(found) = TOPICS.iter().find(|topic| topic.name == wanted) {
        return Ok(format!("\n{}\n{}\n", found.text.trim(), options(wanted)));
    }
    let parts: Vec<_> = topics()
        .filter(|name| name.split(' ').any(|word| word == wanted) || name.starts_with(wanted))
        .collect();
    if !parts.is_empty() {
        return Ok(format!("\nHELP {wanted} has parts: {}.\n\n", parts.join(", ")));
    }
    Err(CommandError::Topic {
        topic: wanted.to_string(),
        hint: nearest(wanted, topics()).map(str::to_string),
    })
}

/// The commands that begin with a backslash.
pub(crate) fn backslash_forms() -> String {
    let mut text = String::from("\n");
    for (name, arguments, meaning) in FORMS {
        let form = format!("\\{name} {arguments}");
        text.push_str(&format!("  {form:<24} {meaning}\n"));
    }
    text.push('\n');
    text
}

/// The text in lines of at most `width` columns, where words allow it. What a line's last column of blanks leaves to its
/// right continues below itself, as the meaning of an option does.
pub(crate) fn wrapped(text: &str, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from) else { return text.to_string() };
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let own = line.len() - line.trim_start().len();
        let indent = match line.trim_end().rfind("  ") {
            Some(gap) if gap >= own && gap + 2 < width / 2 => gap + 2,
            _ => own + 2,
        };
        let (mut rest, mut room, mut least) = (line, width, indent);
        while let Some((head, tail)) = split(rest, room, least) {
            out.push_str(head.trim_end());
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            (rest, room, least) = (tail.trim_start(), width - indent, 0);
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
}

/// A line that is longer than `room`, cut at its last blank there that is behind `least`.
fn split(line: &str, room: usize, least: usize) -> Option<(&str, &str)> {
    let (end, _) = line.char_indices().nth(room)?;
    let blank = line.get(..=end)?.rfind(' ').filter(|&blank| blank > least)?;
    Some(line.split_at(blank))
}

/// COPY's options, from the table that the parser of the command uses.
fn options(topic: &str) -> String {
    if topic != "COPY" {
        return String::new();
    }
    let mut text = String::from("\nOptions and their defaults:\n");
    for (name, default, meaning) in copy::OPTIONS {
        text.push_str(&format!("  {name:<16} {default:<20} {meaning}\n"));
    }
    text
}

fn overview() -> String {
    const WIDTH: usize = 76;
    let mut text = String::from(
        "\nStatements end with ; and may span lines. Tab completes, Ctrl-C cancels, Ctrl-D leaves.\n\
         HELP <topic> tells more; \\? lists the short forms. Topics:\n",
    );
    let mut column = WIDTH;
    for name in topics() {
        if column + name.len() + 2 > WIDTH {
            text.push_str("\n  ");
            column = 2;
        } else {
            text.push_str(", ");
            column += 2;
        }
        text.push_str(name);
        column += name.len();
    }
    text.push_str("\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_found_in_any_case() {
        for name in topics() {
            let text = text(Some(&name.to_lowercase())).expect("a topic");
            assert!(text.lines().all(|line| line.chars().count() <= 120), "{name}");
            assert!(text.len() > 30, "{name}");
        }
    }

    #[test]
    fn a_mistyped_topic_is_guessed_and_a_part_of_one_listed() {
        let error = text(Some("selct")).expect_err("no topic").to_string();
        assert_eq!(error, "no help on SELCT; did you mean SELECT? HELP lists the topics");
        let parts = text(Some("create")).expect("parts");
        assert!(parts.contains("CREATE TABLE"), "{parts}");
    }

    #[test]
    fn long_lines_are_wrapped_below_their_last_column() {
        let text = "  NAME    what it means and more\n  short\nwithoutanyblankthatcouldbeused\n";
        assert_eq!(wrapped(text, None), text);
        assert_eq!(
            wrapped(text, Some(24)),
            "  NAME    what it means\n          and more\n  short\nwithoutanyblankthatcouldbeused\n"
        );
        for name in topics() {
            let text = super::text(Some(name)).expect("a topic");
            let wrapped = wrapped(&text, Some(60));
            assert!(wrapped.lines().all(|line| line.chars().count() <= 60), "{wrapped}");
            assert!(wrapped.split_whitespace().eq(text.split_whitespace()), "{wrapped}");
        }
    }

    #[test]
    fn the_overview_names_all_topics() {
        let overview = overview();
        assert!(topics().all(|name| overview.contains(name)));
    }

    /// What a topic shows as an example must be CQL.
    #[test]
    fn examples_are_statements() {
        let mut count = 0;
        for topic in TOPICS {
            for line in topic.text.lines().filter_map(|line| line.strip_prefix("  > ")) {
                if let Err(error) = tholos_parser::parse_statement(line) {
                    panic!("{}: {line}: {error}", topic.name);
                }
                count += 1;
            }
        }
        assert!(count > 20, "only {count} examples");
    }
}
