//! Rows: pages one after the other, the footer under them.

use std::time::Duration;

use tholos_grammar::ast::Statement;
use tholos_grammar::ast::modify::{Modification, Using};
use tholos_grammar::consistency::Consistency;

use crate::client::{Outcome, ResultRows};
use crate::error::ShellError;
use crate::output::{self, Format, Page};
use crate::session::Answer;
use crate::shell::pager::{Pager, Wanted};
use crate::shell::{Shell, describe};

impl Shell {
    /// Prints a result, fetching page after page. Between pages a person can stop it, and then no more is fetched.
    pub(super) fn print_rows(
        &mut self,
        text: &str,
        statement: &Statement,
        first: Answer,
    ) -> Result<(), ShellError> {
        if let Statement::Describe(_) = statement
            && self.settings.format.has_footer()
        {
            return self.print_description(text, first);
        }
        let Outcome::Rows(mut rows) = first.reply.outcome else { return Ok(()) };
        let mut elapsed = first.elapsed;
        let mut printed = 0;
        let mut is_first = true;
        let mut format = None;
        let mut pager = Pager::of(self);
        loop {
            let next = rows.metadata.paging_state.take();
            let style = self.sink.style();
            let page = Page {
                columns: &rows.metadata.columns,
                rows: &rows.rows,
                rows_before: printed,
                is_first,
                is_last: next.is_none(),
            };
            let format = *format.get_or_insert_with(|| {
                output::resolve(self.settings.format, self.settings.expand, &page, style)
            });
            printed += rows.rows.len();
            // A page may be empty and not the last; an empty table would only confuse.
            if is_first || !rows.rows.is_empty() || next.is_none() && format == Format::Json {
                let text = output::render(format, &page, style);
                if pager.show(self, &text, next.is_none())? == Wanted::Nothing {
                    return self.stopped(None);
                }
            }
            is_first = false;
            let Some(state) = next else { break };
            if self.session.interrupts().is_raised() {
                return Err(ShellError::Interrupted);
            }
            if self.settings.stops_at_pages && !rows.rows.is_empty() {
                if format == Format::Json && self.is_interactive() {
                    // The array's line ends with what comes next; the question must not stand on it.
                    self.print("\n")?;
                }
                if pager.ask_at_page(self, printed)? == Wanted::Nothing {
                    if format == Format::Json {
                        // What was printed of the array is still to be JSON.
                        self.print("]\n")?;
                    }
                    return self.stopped(Some(printed));
                }
            }
            let answer = self.session.execute(text, &self.settings.request(Some(state)))?;
            elapsed += answer.elapsed;
            let Outcome::Rows(page) = answer.reply.outcome else { break };
            rows = with_columns(page, &rows);
        }
        drop(pager);
        if self.has_footer() {
            let footer = self.footer(Some(printed), statement, elapsed);
            self.print("\n")?;
            self.print_dimmed(&footer)?;
            if self.is_interactive() {
                self.print("\n")?;
            }
        }
        Ok(())
    }

    /// Says that a person wanted no more.
    fn stopped(&mut self, printed: Option<usize>) -> Result<(), ShellError> {
        match printed {
            Some(printed) => self.print_dimmed(&format!("({printed} rows so far; stopped)")),
            None => self.print_dimmed("(stopped)"),
        }
    }

    fn print_description(&mut self, text: &str, first: Answer) -> Result<(), ShellError> {
        let Outcome::Rows(mut rows) = first.reply.outcome else { return Ok(()) };
        let mut all = rows.clone();
        while let Some(state) = rows.metadata.paging_state.take() {
            let answer = self.session.execute(text, &self.settings.request(Some(state)))?;
            let Outcome::Rows(page) = answer.reply.outcome else { break };
            rows = with_columns(page, &rows);
            all.rows.append(&mut rows.rows.clone());
        }
        let width = self.sink.style().width;
        let text = describe::render(&all, width);
        Pager::of(self).show(self, &text, true).map(|_| ())
    }

    /// `(3 rows, 1.2 ms, ONE, 127.0.0.1:9042)`: in scripts only the number of rows, which does not change from run to
    /// run.
    pub(super) fn footer(
        &self,
        rows: Option<usize>,
        statement: &Statement,
        elapsed: Duration,
    ) -> String {
        let count = match rows {
            Some(1) => "1 row".to_string(),
            Some(rows) => format!("{rows} rows"),
            None => "done".to_string(),
        };
        let mut parts = vec![count];
        if self.settings.timing {
            parts.push(milliseconds(elapsed));
        }
        if self.is_interactive() {
            let level = own_consistency(statement).unwrap_or(self.settings.consistency);
            parts.push(level.name().to_string());
            parts.push(self.session.address().to_string());
        }
        format!("({})", parts.join(", "))
    }
}

/// The page, with the columns of the page before if it came without.
fn with_columns(mut page: ResultRows, before: &ResultRows) -> ResultRows {
    if page.metadata.columns.is_empty() {
        page.metadata.columns.clone_from(&before.metadata.columns);
    }
    page
}

fn milliseconds(elapsed: Duration) -> String {
    let ms = elapsed.as_secs_f64() * 1000.0;
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1000.0) }
}

/// The level of USING CONSISTENCY, which overrides the session's.
fn own_consistency(statement: &Statement) -> Option<Consistency> {
    let using: &Using = match statement {
        Statement::Select(select) => return select.using.consistency,
        Statement::Insert(insert) => &insert.using,
        Statement::Update(update) => &update.using,
        Statement::Delete(delete) => &delete.using,
        Statement::Batch(batch) => {
            let inner = batch.statements.iter().find_map(|statement| match statement {
                Modification::Insert(insert) => insert.using.consistency,
                Modification::Update(update) => update.using.consistency,
                Modification::Delete(delete) => delete.using.consistency,
            });
            return batch.using.consistency.or(inner);
        }
        _ => return None,
    };
    using.consistency
}
