//! The shell's commands, and the console: a node inside the process with a shell on it.
//!
//! The shell is a client like any other and lives in its own crate; here it is given a node to talk to. The console's
//! node listens on loopback, so that drivers can be tried on it too.

use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tholos_grammar::name::Name;
use tholos_shell::{ScriptSource, ShellOptions, exit, interactive, run_script};
use tokio_util::sync::CancellationToken;

use crate::cli::{ClientArgs, ConsoleArgs, RunArgs, ShellArgs};
use crate::commands::{failed, init_log, runtime, target};
use crate::config::{Config, LogFormat};
use crate::serve::{ServeError, Server, ServerOptions};
use crate::version::VERSION;

/// Port of the native protocol, where an address names none.
const DEFAULT_PORT: u16 = 9042;

/// `tholos shell`
pub(crate) fn shell(args: &ShellArgs) -> ExitCode {
    let node = match (&args.node, args.port) {
        (Some(node), Some(port)) => Some(format!("{}:{port}", bracketed(node))),
        (node, _) => node.clone(),
    };
    run_client(node.as_deref(), args.data.as_deref(), &args.client, &[])
}

/// `tholos run`
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    run_client(args.node.as_deref(), args.data.as_deref(), &args.client, &args.files)
}

/// A shell on a running node, or the scripts that the command line names.
fn run_client(
    node: Option<&str>,
    data: Option<&Path>,
    client: &ClientArgs,
    files: &[PathBuf],
) -> ExitCode {
    let node = match address(node, data) {
        Ok(node) => node,
        Err(error) => return failed(&error, exit::USAGE),
    };
    let options = options(client, node);
    ExitCode::from(match script(client, files) {
        Some(source) => run_script(source, &options),
        None => interactive(&options),
    })
}

/// What the command line gives to run.
fn script(client: &ClientArgs, files: &[PathBuf]) -> Option<ScriptSource> {
    let files: Vec<PathBuf> = files.iter().chain(&client.file).cloned().collect();
    match files.as_slice() {
        [] if client.execute.is_empty() => None,
        [] => Some(ScriptSource::Texts(client.execute.clone())),
        [only] if only.as_os_str() == "-" => Some(ScriptSource::Stdin),
        _ => Some(ScriptSource::Files(files)),
    }
}

/// The node to talk to: the one that is named, the one that uses the data directory, or the usual one.
fn address(node: Option<&str>, data: Option<&Path>) -> Result<String, String> {
    if let Some(node) = node {
        return with_port(node);
    }
    let used = |data: &Path| target::native_address(data).map(|address| address.to_string());
    match data {
        Some(data) => used(data).ok_or_else(|| {
            let data = data.display();
            format!("no running node that this user may ask uses {data}: name a node instead, or start one with `tholos serve --data {data}`")
        }),
        None => Ok(used(&Config::default().data_dir)
            .unwrap_or_else(|| format!("{}:{DEFAULT_PORT}", Ipv4Addr::LOCALHOST))),
    }
}

/// `tholos` without a command: a node, and a shell or a script on it.
pub(crate) fn console(args: &ConsoleArgs) -> ExitCode {
    init_log("warn", LogFormat::Text);
    let mut script = script(&args.client, &[]);
    if script.is_none() && !std::io::stdin().is_terminal() {
        script = Some(ScriptSource::Stdin);
    }
    let server = match open(args, script.is_some()) {
        Ok(server) => server,
        Err(error) => return failed(&error, exit::CANNOT_CONNECT),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, exit::CANNOT_CONNECT),
    };
    if script.is_none() {
        println!("{}", greeting(&server, args));
    }
    let options = options(&args.client, server.native_address().to_string());
    let stop = CancellationToken::new();
    let serving = runtime.spawn(server.run(stop.clone()));
    let code = match script {
        Some(source) => run_script(source, &options),
        None => interactive(&options),
    };
    stop.cancel();
    match runtime.block_on(serving) {
        Ok(Ok(())) => ExitCode::from(code),
        Ok(Err(error)) => failed(&error, code.max(1)),
        Err(error) => failed(&error, code.max(1)),
    }
}

/// The node of a console. Without a port it takes the usual one, so that programs find it as they would any other; where
/// that is taken, and for scripts, which nobody connects to, a free one.
fn open(args: &ConsoleArgs, is_script: bool) -> Result<Server, ServeError> {
    let open = |port| {
        let mut config = Config::default();
        config.listen.port = port;
        // The program's own commands ask there; a second console must not find the port taken.
        config.admin.enabled = !args.memory;
        config.admin.port = 0;
        config.data_dir = args.data.clone().unwrap_or(config.data_dir);
        Server::open(ServerOptions {
            config,
            in_memory: args.memory,
            set_aside_damaged: false,
            recreate_missing: false,
        })
    };
    match args.port {
        Some(port) => open(port),
        None if is_script => open(0),
        None => match open(DEFAULT_PORT) {
            Err(ServeError::InUse { .. }) => open(0),
            other => other,
        },
    }
}

fn greeting(server: &Server, args: &ConsoleArgs) -> String {
    let config = server.node().config();
    let data = if args.memory {
        "data in memory, gone at the end".to_string()
    } else {
        format!("data in {}", config.data_dir.display())
    };
    let address = server.native_address();
    let taken = match args.port {
        None if address.port() != DEFAULT_PORT => {
            format!(" (port {DEFAULT_PORT} is taken)")
        }
        _ => String::new(),
    };
    format!(
        "Tholos {VERSION}, ready in {:.0?}; {data}.\nDrivers connect to {address}{taken}, local data centre {}.",
        server.opened_in(),
        config.data_center,
    )
}

fn options(args: &ClientArgs, address: String) -> ShellOptions {
    ShellOptions {
        address,
        user: args.user.clone(),
        password: std::env::var("THOLOS_PASSWORD").ok(),
        keyspace: args.keyspace.as_deref().map(|name| Name::exact(name).as_str().to_string()),
        format: args.format,
        consistency: args.consistency,
        on_error: args.on_error.into(),
        request_timeout: args.request_timeout,
        yes: args.yes,
        no_color: args.no_color,
        history: history(),
        ..ShellOptions::default()
    }
}

/// A host as it stands before a port.
fn bracketed(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_string() }
}

/// An address with the protocol's usual port if it names none. IPv6 addresses with a port stand in brackets.
fn with_port(node: &str) -> Result<String, String> {
    let bare_v6 = node.parse::<std::net::Ipv6Addr>().is_ok();
    match node.rsplit_once(':') {
        _ if bare_v6 => Ok(format!("[{node}]:{DEFAULT_PORT}")),
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(node.to_string()),
        Some((_, port)) if !port.ends_with(']') => Err(format!(
            "{node}: {port:?} is no port: an address is HOST or HOST:PORT, as in 127.0.0.1:{DEFAULT_PORT}"
        )),
        _ => Ok(format!("{node}:{DEFAULT_PORT}")),
    }
}

fn history() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".tholos_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (given, address) in [
            ("db1", "db1:9042"),
            ("db1:7", "db1:7"),
            ("::1", "[::1]:9042"),
            ("[::1]", "[::1]:9042"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(with_port(given).as_deref(), Ok(address));
        }
        assert_eq!(bracketed("::1"), "[::1]");
        assert_eq!(address(Some("db1"), None).as_deref(), Ok("db1:9042"));
        let dir = tempfile::tempdir().unwrap();
        let error = address(None, Some(dir.path())).unwrap_err();
        assert!(error.contains("no running node"), "{error}");
        assert!(with_port("db1:x").is_err() && with_port("db1:").is_err());
    }
}
