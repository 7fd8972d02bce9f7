//! Commands that switch a setting, or tell it.

use crate::command::{Command, Paging, backslash::switched};
use crate::error::ShellError;
use crate::output::Expand;
use crate::settings::INTERACTIVE_PAGE_SIZE;
use crate::shell::Shell;
use crate::sink::note;

impl Shell {
    /// Carries out a command that switches a setting or tells it.
    pub(super) fn switch(&mut self, command: Command) -> Result<(), ShellError> {
        if let Some(told) = self.setting(&command) {
            return match self.is_interactive() {
                true => self.say(&told),
                false => self.print(&format!("{told}\n")),
            };
        }
        let told = match command {
            Command::Consistency(Some(level)) => {
                self.settings.consistency = level;
                format!("The consistency level is {level} now.")
            }
            Command::SerialConsistency(Some(level)) => {
                self.settings.serial_consistency = Some(level);
                format!("The serial consistency level is {level} now.")
            }
            Command::Tracing(Some(on)) => {
                self.settings.tracing = on;
                format!("Tracing is {}.", on_off(on))
            }
            Command::Timing(on) => {
                self.settings.timing = on.unwrap_or(!self.settings.timing);
                format!("Timing is {}.", on_off(self.settings.timing))
            }
            Command::Paging(paging) => self.page(paging),
            Command::Expand(Some(expand)) => self.expand(expand),
            Command::SwitchExpand => self.expand(switched(self.settings.expand)),
            Command::Format(Some(format)) => {
                self.settings.format = format;
                self.format()
            }
            Command::ShowSession(id) => return self.show_trace(id),
            Command::Capture(path) => {
                let failed =
                    |source| ShellError::File { action: "write", path: path.clone(), source };
                self.sink.redirect(&path).map_err(failed)?;
                format!("Results go to {} now; CAPTURE OFF ends that.", path.display())
            }
            Command::CaptureOff => {
                self.sink.restore().map_err(ShellError::Output)?;
                "Results go to the terminal.".to_string()
            }
            // Every other command is carried out before it comes here.
            _ => return Ok(()),
        };
        self.say(&told)
    }

    /// What a command that only asks is told.
    fn setting(&mut self, command: &Command) -> Option<String> {
        Some(match command {
            Command::Consistency(None) => {
                format!("Current consistency level is {}.", self.settings.consistency)
            }
            Command::SerialConsistency(None) => match self.settings.serial_consistency {
                Some(level) => format!("Current serial consistency level is {level}."),
                None => "Current serial consistency level is SERIAL, the default.".to_string(),
            },
            Command::Tracing(None) => {
                let on = self.settings.tracing;
                format!("Tracing is currently {}", enabled(on, "TRACING"))
            }
            Command::Paging(None) => self.page(None),
            Command::Expand(None) => self.expanded(),
            Command::Format(None) => self.format(),
            Command::ShowVersion => self.version(),
            Command::ShowHost => self.host(),
            Command::ConnectionInfo => format!("{}\n{}", self.host(), self.version()),
            Command::Settings => self.all_settings(),
            Command::CaptureStatus => match self.sink.file() {
                Some(path) => format!("Results go to {}.", path.display()),
                None => "Results go to the terminal.".to_string(),
            },
            _ => return None,
        })
    }

    fn format(&self) -> String {
        format!("Results are printed as {}.", self.settings.format.name())
    }

    /// All settings, with the commands that change them.
    fn all_settings(&self) -> String {
        let settings = &self.settings;
        let serial = settings.serial_consistency.map_or("default", |level| level.name());
        let paging = settings.page_size.map_or("OFF".to_string(), |size| size.to_string());
        let expand = format!("{:?}", settings.expand).to_uppercase();
        let keyspace = self.session.keyspace().map_or("none".to_string(), crate::catalogue::quoted);
        [
            ("USE", keyspace.as_str()),
            ("CONSISTENCY", settings.consistency.name()),
            ("SERIAL CONSISTENCY", serial),
            ("PAGING", paging.as_str()),
            ("FORMAT", settings.format.name()),
            ("EXPAND", expand.as_str()),
            ("TIMING", on_off(settings.timing)),
            ("TRACING", on_off(settings.tracing)),
        ]
        .map(|(name, value)| format!("{name:<20}{value}"))
        .join("\n")
    }

    /// Tells of a setting that was changed: the person at the terminal, even while results go to a file; scripts need no
    /// answer.
    fn say(&mut self, text: &str) -> Result<(), ShellError> {
        if !self.is_interactive() {
            return Ok(());
        }
        if self.sink.file().is_some() {
            note(text);
            return Ok(());
        }
        self.print(&format!("{text}\n"))
    }

    fn page(&mut self, paging: Option<Paging>) -> String {
        let asks = paging.is_none();
        match paging {
            None => {}
            Some(Paging::On) => {
                self.settings.page_size.get_or_insert(INTERACTIVE_PAGE_SIZE);
                self.settings.stops_at_pages = false;
            }
            Some(Paging::Off) => self.settings.page_size = None,
            Some(Paging::Size(size)) => {
                self.settings.page_size = Some(size);
                self.settings.stops_at_pages = true;
            }
        }
        match self.settings.page_size {
            size if asks => {
                let rows = size.map_or(String::new(), |size| format!("\nPage size: {size}"));
                format!("Query paging is currently {}{rows}", enabled(size.is_some(), "PAGING"))
            }
            Some(size) => format!("Paging is on, with {size} rows a page."),
            None => "Paging is off: results come in one piece.".to_string(),
        }
    }

    /// What EXPAND is, and what changes it.
    fn expanded(&self) -> String {
        match self.settings.expand {
            Expand::Auto => {
                "Expanded output is currently automatic: rows that are too wide for a table are expanded. Use EXPAND ON or EXPAND OFF to change that.".to_string()
            }
            expand => {
                format!("Expanded output is currently {}", enabled(expand == Expand::On, "EXPAND"))
            }
        }
    }

    fn expand(&mut self, expand: Expand) -> String {
        self.settings.expand = expand;
        match expand {
            Expand::On => "Rows are printed expanded.".to_string(),
            Expand::Off => "Rows are printed as tables.".to_string(),
            Expand::Auto => {
                "Rows are printed as tables, or expanded where those are too wide.".to_string()
            }
        }
    }

    /// `[tholos 0.1.0 | server ... | CQL ... | native protocol ...]`
    pub(crate) fn version(&self) -> String {
        let server = self.session.server();
        let product = match &server.product {
            Some(product) => format!("{product}, as Cassandra"),
            None => "Cassandra".to_string(),
        };
        format!(
            "[shell {} | {product} {} | CQL {} | native protocol {}]",
            env!("CARGO_PKG_VERSION"),
            server.release_version,
            server.cql_version,
            server.protocol
        )
    }

    /// `Connected to cluster at address`
    pub(crate) fn host(&self) -> String {
        let cluster = &self.session.server().cluster_name;
        format!("Connected to {cluster} at {}.", self.session.address())
    }

    fn show_trace(&mut self, id: uuid::Uuid) -> Result<(), ShellError> {
        self.run_text(&format!(
            "SELECT request, coordinator, duration, started_at FROM system_traces.sessions \
             WHERE session_id = {id}; \
             SELECT activity, source, source_elapsed, thread FROM system_traces.events \
             WHERE session_id = {id};"
        ))
        .map(|_| ())
    }
}

/// Whether something is on, and the command that changes it.
fn enabled(on: bool, command: &str) -> String {
    match on {
        true => format!("enabled. Use {command} OFF to disable."),
        false => format!("disabled. Use {command} ON to enable."),
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
