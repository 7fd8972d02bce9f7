//! The shell's commands, and the console: a node inside the process with a shell on it.
//!
//! The shell is a client like any other and lives in its own crate; here it is given a node to talk to. The console's
//! node listens on loopback, at a free port unless told otherwise, so that drivers can be tried on it too.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use tholos_grammar::name::Name;
use tholos_shell::{ScriptSource, ShellOptions, exit, interactive, run_script};
use tokio_util::sync::CancellationToken;

use crate::cli::{ClientArgs, ConsoleArgs, RunArgs, ShellArgs};
use crate::commands::{failed, init_log, runtime};
use crate::config::Config;
use crate::serve::{Server, ServerOptions};
use crate::version::VERSION;

/// Port of the native protocol, where an address names none.
const DEFAULT_PORT: u16 = 9042;

/// `tholos shell`
pub(crate) fn shell(args: &ShellArgs) -> ExitCode {
    let node = match with_port(&args.node) {
        Ok(node) => node,
        Err(error) => return failed(&error, exit::USAGE),
    };
    let options = options(&args.client, node);
    ExitCode::from(match &args.client.execute {
        Some(text) => run_script(ScriptSource::Text(text.clone()), &options),
        None => interactive(&options),
    })
}

/// `tholos run`
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let node = match with_port(&args.node) {
        Ok(node) => node,
        Err(error) => return failed(&error, exit::USAGE),
    };
    let options = options(&args.client, node);
    let files = &args.files;
    let source = match files.as_slice() {
        [only] if only.as_os_str() == "-" => ScriptSource::Stdin,
        _ => ScriptSource::Files(files.clone()),
    };
    ExitCode::from(run_script(source, &options))
}

/// `tholos` without a command: a node, and a shell or a script on it.
pub(crate) fn console(args: &ConsoleArgs) -> ExitCode {
    init_log("warn");
    let opened = Server::open(ServerOptions {
        config: console_config(args),
        in_memory: args.memory,
        set_aside_damaged: false,
    });
    let server = match opened {
        Ok(server) => server,
        Err(error) => return failed(&error, exit::CANNOT_CONNECT),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, exit::CANNOT_CONNECT),
    };
    let script = match &args.client.execute {
        Some(text) => Some(ScriptSource::Text(text.clone())),
        None if !std::io::stdin().is_terminal() => Some(ScriptSource::Stdin),
        None => None,
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

fn console_config(args: &ConsoleArgs) -> Config {
    let mut config = Config::default();
    config.listen.port = args.port.unwrap_or(0);
    // Nobody watches a console's metrics, and a second console must not find the port taken.
    config.admin.enabled = false;
    config.data_dir = args.data.clone().unwrap_or(config.data_dir);
    config
}

fn greeting(server: &Server, args: &ConsoleArgs) -> String {
    let config = server.node().config();
    let data = if args.memory {
        "data in memory, gone at the end".to_string()
    } else {
        format!("data in {}", config.data_dir.display())
    };
    format!(
        "Tholos {VERSION}, ready in {:.0?}; {data}.\nDrivers connect to {}, local data centre {}.",
        server.opened_in(),
        server.native_address(),
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
        assert!(with_port("db1:x").is_err() && with_port("db1:").is_err());
    }
}
