//! What can be wrong with a command.

use crate::suggest::suggestion;

/// The text is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{command} takes {takes}, not {found:?}{}", suggestion(.hint.as_ref()))]
    Argument { command: String, takes: String, found: String, hint: Option<String> },
    #[error("{command} lacks {what}")]
    Missing { command: String, what: &'static str },
    #[error("{command} takes nothing behind {last}, found {found:?}")]
    Extra { command: String, last: String, found: String },
    #[error("no command \\{name} (\\? lists them){}", suggestion(.hint.as_ref()))]
    Unknown { name: String, hint: Option<String> },
    #[error("this text has no closing {0}")]
    OpenQuote(char),
    #[error("SHOW SESSION takes the id of a trace, which is a UUID, not {0:?}")]
    Session(String),
    #[error("COPY: {0}")]
    Copy(String),
    #[error("no help on {topic}{} HELP lists the topics", .hint.as_ref().map_or_else(|| ":".to_string(), |hint| format!("; did you mean {hint}?")))]
    Topic { topic: String, hint: Option<String> },
}
