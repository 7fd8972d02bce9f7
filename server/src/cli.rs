//! The command line: what the `tholos` program takes. Carrying it out is [`crate::commands`]' work.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tholos_grammar::consistency::Consistency;
use tholos_shell::{Format, OnError};

use crate::config::{CommitLogMode, Config, ConfigError, LogFormat};

/// A wide-column database: CQL over Cassandra's native protocol, in one program.
///
/// Without a command: starts a node in this process, with data in ./tholos-data, and opens a CQL shell on it. With CQL
/// on standard input: runs it and exits.
#[derive(Clone, Debug, Parser)]
#[command(name = "tholos", version, disable_version_flag = true, max_term_width = 100)]
pub struct Cli {
    /// What to do; nothing for a console.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The console's node.
    #[command(flatten)]
    pub console: ConsoleArgs,
    /// Print the version
    #[arg(short = 'V', long, global = true)]
    pub version: bool,
}

/// Commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a node until it is told to stop (SIGTERM, Ctrl-C)
    Serve(ServeArgs),
    /// Open a CQL shell on a running node
    Shell(ShellArgs),
    /// Run CQL scripts on a running node
    Run(RunArgs),
    /// Show or check configurations
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Take, list and delete snapshots of tables
    Snapshot {
        /// What to do.
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Bring tables back from a snapshot
    Restore(RestoreArgs),
    /// Check every file of a data directory; exit code 1 if something is wrong
    Verify(DataArgs),
    /// Look into an SSTable
    Sstable {
        /// What to do.
        #[command(subcommand)]
        command: SstableCommand,
    },
    /// Print the version
    Version,
}

/// A data directory.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// The data directory; a node may be using it [default: ./tholos-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataArgs {
    /// The directory.
    pub fn dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| Config::default().data_dir)
    }
}

/// `tholos snapshot`
#[derive(Clone, Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Take a snapshot of all tables, or some
    Create {
        /// Its name [default: the time in milliseconds]
        name: Option<String>,
        /// Only tables of this keyspace
        #[arg(long, value_name = "NAME")]
        keyspace: Option<String>,
        /// Only this table
        #[arg(long, value_name = "NAME", requires = "keyspace")]
        table: Option<String>,
        /// Of what.
        #[command(flatten)]
        data: DataArgs,
    },
    /// List snapshots
    List {
        /// Of what.
        #[command(flatten)]
        data: DataArgs,
    },
    /// Delete a snapshot; the tables stay as they are
    Delete {
        /// Its name
        name: String,
        /// Of what.
        #[command(flatten)]
        data: DataArgs,
    },
}

/// `tholos restore`
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The snapshot's directory: `snapshots/NAME` of a data directory's `storage`, or a copy of it
    pub snapshot: PathBuf,
    /// Only tables of this keyspace
    #[arg(long, value_name = "NAME")]
    pub keyspace: Option<String>,
    /// Only this table
    #[arg(long, value_name = "NAME", requires = "keyspace")]
    pub table: Option<String>,
    /// Where to.
    #[command(flatten)]
    pub data: DataArgs,
}

/// `tholos sstable`
#[derive(Clone, Debug, Subcommand)]
pub enum SstableCommand {
    /// Print every entry: keys, rows, cells and deletions, with their timestamps
    Dump {
        /// The file
        file: PathBuf,
        /// One JSON object for each entry
        #[arg(long)]
        json: bool,
    },
    /// Print what a file says of itself and what it is made of
    Stats {
        /// The file
        file: PathBuf,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// `tholos config`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the default configuration, every key explained
    Default,
    /// Read a configuration file and say what is wrong with it
    Check {
        /// The file
        file: PathBuf,
    },
}

/// The node of a console.
#[derive(Clone, Debug, Args)]
pub struct ConsoleArgs {
    /// Keep data in this directory [default: ./tholos-data]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,
    /// Keep all data in memory: it is gone at the end
    #[arg(long)]
    pub memory: bool,
    /// Let drivers connect at this port [default: 9042, or a free one if that is taken]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// How the shell works
    #[command(flatten)]
    pub client: ClientArgs,
}

/// `tholos serve`: a configuration file, and flags that override it.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Read settings from this TOML file (see `tholos config default`)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep data in this directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Keep all data in memory: it is gone at the end
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// Listen for drivers at this address
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<IpAddr>,
    /// Listen for drivers at this port; 0 for a free one
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Tell drivers to connect to this address
    #[arg(long, value_name = "ADDR")]
    pub broadcast: Option<IpAddr>,
    /// Serve health and metrics at this address
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<IpAddr>,
    /// Serve health and metrics at this port; 0 for a free one
    #[arg(long, value_name = "N")]
    pub admin_port: Option<u16>,
    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// The data centre
    #[arg(long, value_name = "NAME")]
    pub data_center: Option<String>,
    /// The rack
    #[arg(long, value_name = "NAME")]
    pub rack: Option<String>,
    /// When writes are acknowledged
    #[arg(long, value_name = "MODE")]
    pub commit_log: Option<CommitLogMode>,
    /// How much to log: error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Start although the commit log is damaged, or has writes to unknown tables: such segments are moved away, and what
    /// is only in them is lost
    #[arg(long)]
    pub set_aside_damaged_log: bool,
    /// Start although parts of the data directory are missing: they are made anew, empty
    #[arg(long)]
    pub recreate_missing: bool,
}

/// `tholos shell`
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// The node to connect to [default: the one that uses --data or ./tholos-data, else 127.0.0.1:9042]
    #[arg(value_name = "HOST[:PORT]")]
    pub node: Option<String>,
    /// Its port
    #[arg(value_name = "PORT")]
    pub port: Option<u16>,
    /// Connect to the node that uses this data directory
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    pub data: Option<PathBuf>,
    /// How the shell works
    #[command(flatten)]
    pub client: ClientArgs,
}

/// `tholos run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Scripts, in order; - for standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["file", "execute"])]
    pub files: Vec<PathBuf>,
    /// The node to connect to [default: the one that uses --data or ./tholos-data, else 127.0.0.1:9042]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub node: Option<String>,
    /// Connect to the node that uses this data directory
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    pub data: Option<PathBuf>,
    /// How scripts run
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What every way to run CQL takes.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Run these statements and exit; may be given several times
    #[arg(short, long, value_name = "CQL", conflicts_with = "file")]
    pub execute: Vec<String>,
    /// Run this script and exit; - is standard input; may be given several times
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Start in this keyspace
    #[arg(short, long, value_name = "NAME")]
    pub keyspace: Option<String>,
    /// Log in as this user, if the node asks; the password comes from THOLOS_PASSWORD, or is asked for
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// How rows are printed: table, expanded, csv, json, ndjson or markdown
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// The consistency level to start with
    #[arg(long, value_name = "LEVEL", default_value = "ONE")]
    pub consistency: Consistency,
    /// What scripts do when a statement fails
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    pub on_error: OnErrorArg,
    /// Wait so long for the answer to a statement
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub request_timeout: Duration,
    /// Don't ask before DROP and TRUNCATE
    #[arg(long)]
    pub yes: bool,
    /// No colours, even in a terminal
    #[arg(long)]
    pub no_color: bool,
}

/// A number of seconds above 0, with a fraction or without.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|&seconds| (0.001..=86_400.0).contains(&seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "takes a number of seconds, 0.001 to 86400".to_string())
}

/// `--on-error`
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum OnErrorArg {
    /// End at the first failure
    Stop,
    /// Go on with the next statement
    Continue,
}

impl From<OnErrorArg> for OnError {
    fn from(arg: OnErrorArg) -> OnError {
        match arg {
            OnErrorArg::Stop => OnError::Stop,
            OnErrorArg::Continue => OnError::Continue,
        }
    }
}

impl ServeArgs {
    /// The configuration: the file's, overridden by flags.
    ///
    /// # Errors
    /// The file can't be read, or a value makes no sense.
    pub fn to_config(&self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            Some(file) => Config::load(file)?,
            None => Config::default(),
        };
        let set = |target: &mut String, flag: &Option<String>| {
            if let Some(value) = flag {
                target.clone_from(value);
            }
        };
        set(&mut config.cluster_name, &self.cluster_name);
        set(&mut config.data_center, &self.data_center);
        set(&mut config.rack, &self.rack);
        set(&mut config.log.level, &self.log);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config.data_dir = self.data.clone().unwrap_or(config.data_dir);
        config.listen.address = self.listen.unwrap_or(config.listen.address);
        config.listen.port = self.port.unwrap_or(config.listen.port);
        if let Some(broadcast) = self.broadcast {
            config.listen.broadcast_address = broadcast.to_string();
        }
        config.admin.address = self.admin_listen.unwrap_or(config.admin.address);
        config.admin.port = self.admin_port.unwrap_or(config.admin.port);
        config.commit_log.mode = self.commit_log.unwrap_or(config.commit_log.mode);
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_override_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        std::fs::write(&file, "rack = \"r7\"\n[listen]\nport = 1\n").unwrap();
        let line = ["tholos", "serve", "--port", "2", "--commit-log", "periodic", "--config"];
        let line = line.iter().map(std::ffi::OsString::from).chain([file.into()]);
        let Some(Command::Serve(args)) = Cli::parse_from(line).command else { panic!("serve") };
        let config = args.to_config().unwrap();
        assert_eq!((config.listen.port, config.rack.as_str()), (2, "r7"));
        assert_eq!(config.commit_log.mode, CommitLogMode::Periodic);
    }

    #[test]
    fn without_a_command_it_is_a_console() {
        let cli = Cli::parse_from(["tholos", "--memory", "--port", "7"]);
        assert!(cli.command.is_none() && cli.console.memory);
        assert!(Cli::try_parse_from(["tholos", "--memory", "--data", "x"]).is_err());
    }

    #[test]
    fn the_shell_takes_what_fingers_type() {
        let shell = |line: &[&str]| {
            let line = ["tholos", "shell"].iter().chain(line);
            match Cli::try_parse_from(line).map(|cli| cli.command) {
                Ok(Some(Command::Shell(args))) => args,
                other => panic!("{other:?}"),
            }
        };
        let args = shell(&["db1", "9043", "-e", "USE a", "-e", "USE b"]);
        assert_eq!((args.node.as_deref(), args.port), (Some("db1"), Some(9043)));
        assert_eq!(args.client.execute, ["USE a", "USE b"]);
        assert_eq!(shell(&["-f", "a.cql", "-f", "-"]).client.file.len(), 2);
        assert!(Cli::parse_from(["tholos", "--version"]).version);
        assert!(Cli::parse_from(["tholos", "shell", "-V"]).version);
        assert!(Cli::try_parse_from(["tholos", "shell", "-e", "USE a", "-f", "a.cql"]).is_err());
        assert!(Cli::try_parse_from(["tholos", "run"]).is_err());
    }
}
