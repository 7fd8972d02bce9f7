//! What must hold for a configuration beyond the types of its values. A start and `tholos config check` ask the same.

use std::net::IpAddr;

use super::{Config, ConfigError, MIB, system_memory_bytes};

/// Most threads of compaction: more than any machine has cores.
const MAX_THREADS: usize = 1024;

impl Config {
    /// Checks what types alone can't.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_names()?;
        self.check_addresses()?;
        self.check_cluster()?;
        self.check_commit_log()?;
        self.check_memory(system_memory_bytes())?;
        self.check_limits()?;
        require(log_level_problem(&self.log.level).is_none(), "log.level", || {
            log_level_problem(&self.log.level).unwrap_or_default()
        })
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        let names = [
            ("cluster_name", &self.cluster_name),
            ("data_center", &self.data_center),
            ("rack", &self.rack),
        ];
        for (key, name) in names {
            require(!name.trim().is_empty(), key, || "must not be empty".to_string())?;
        }
        let dir = &self.data_dir;
        require(!dir.as_os_str().is_empty(), "data_dir", || {
            "must not be empty: name a directory, such as \"./tholos-data\"".to_string()
        })?;
        require(!dir.exists() || dir.is_dir(), "data_dir", || {
            format!("{} is no directory", dir.display())
        })
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        let broadcast = self.listen.broadcast_address.as_str();
        let is_reachable =
            |address: &str| address.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
        require(
            broadcast.is_empty() || is_reachable(broadcast),
            "listen.broadcast_address",
            || {
                format!(
                    "must be an IP address that drivers can reach, or empty for the one listened on, not {broadcast:?}"
                )
            },
        )?;
        let (native, admin) = (self.listen_address(), self.admin_address());
        let same_ip = native.ip() == admin.ip()
            || native.ip().is_unspecified()
            || admin.ip().is_unspecified();
        let collide = self.admin.enabled && same_ip && native.port() == admin.port();
        require(!collide || admin.port() == 0, "admin.port", || {
            format!("is {}, as listen.port is: each needs a port of its own", admin.port())
        })
    }

    fn check_commit_log(&self) -> Result<(), ConfigError> {
        let log = &self.commit_log;
        require(log.periodic_interval_ms > 0, "commit_log.periodic_interval_ms", || {
            "must be at least 1".to_string()
        })?;
        require((1..=1024).contains(&log.segment_mib), "commit_log.segment_mib", || {
            format!("must be from 1 to 1024, not {}", log.segment_mib)
        })?;
        require(log.total_mib >= 2 * u64::from(log.segment_mib), "commit_log.total_mib", || {
            format!(
                "must hold at least two segments of {} MiB (commit_log.segment_mib), not {}",
                log.segment_mib, log.total_mib
            )
        })
    }

    /// Budgets must fit into the machine, or the system ends the process when they are used.
    fn check_memory(&self, machine: u64) -> Result<(), ConfigError> {
        let machine = machine / MIB;
        let memory = &self.memory;
        let fits = |mib: u64| mib < machine;
        let message = |mib: u64| move || format!("is {mib} MiB, and this machine has {machine}");
        require(fits(memory.memtable_mib), "memory.memtable_mib", message(memory.memtable_mib))?;
        let cache = memory.block_cache_mib;
        require(fits(cache), "memory.block_cache_mib", message(cache))?;
        require(fits(cache.saturating_add(memory.memtable_mib)), "memory.block_cache_mib", || {
            format!(
                "and memory.memtable_mib are {} MiB together, and this machine has {machine}",
                cache.saturating_add(memory.memtable_mib)
            )
        })
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        require(self.compaction.calm_mib_per_s <= 1 << 20, "compaction.calm_mib_per_s", || {
            "must be at most 1048576; 0 for no limit".to_string()
        })?;
        require(self.compaction.threads <= MAX_THREADS, "compaction.threads", || {
            format!("must be at most {MAX_THREADS}; 0 for one less than this machine's cores")
        })?;
        let limits = &self.limits;
        require((1..=256).contains(&limits.frame_mib), "limits.frame_mib", || {
            format!(
                "must be from 1 to 256, which is all that the protocol allows, not {}",
                limits.frame_mib
            )
        })?;
        let largest_batch = limits.batch_warn_kib.max(limits.batch_fail_kib);
        require(largest_batch <= 1 << 20, "limits.batch_fail_kib", || {
            format!("must be at most 1048576, not {largest_batch}; 0 for no limit")
        })?;
        let positive = [
            ("limits.max_connections", limits.max_connections as u64),
            ("limits.in_flight_mib", limits.in_flight_mib),
            ("limits.prepared_cache_mib", limits.prepared_cache_mib),
            ("limits.request_timeout_ms", limits.request_timeout_ms),
            ("limits.startup_timeout_ms", limits.startup_timeout_ms),
            ("limits.frame_timeout_ms", limits.frame_timeout_ms),
        ];
        for (key, value) in positive {
            require(value > 0, key, || "must be at least 1".to_string())?;
        }
        Ok(())
    }
}

pub(super) fn require(
    good: bool,
    key: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if good { Ok(()) } else { Err(ConfigError::Value { key, message: message() }) }
}

/// What is wrong with a log level: a word, or several directives such as `info,tholos_storage=debug`.
fn log_level_problem(level: &str) -> Option<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let wrong =
        level.split(',').map(str::trim).find(|directive| match directive.rsplit_once('=') {
            Some((target, level)) => target.trim().is_empty() || !is_level(level.trim()),
            None => !is_level(directive),
        })?;
    Some(format!(
        "must be error, warn, info, debug, trace or off, or directives such as \"info,tholos_storage=debug\", not {wrong:?}"
    ))
}

/// The parser's message with types of the language in words of the file.
pub(super) fn in_words(message: &str) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("expected u16", "expected a port between 1 and 65535, or 0 for a free one"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a boolean", "expected true or false"),
        ("expected path string", "expected a path in quotes"),
    ];
    WORDS
        .iter()
        .fold(message.to_string(), |message, (type_name, words)| message.replace(type_name, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Config::parse(text, "t.toml").map_or_else(|error| error.to_string(), |_| "fine".to_string())
    }

    #[test]
    fn values_are_checked_in_words() {
        for (text, told) in [
            (
                "[memory]\nmemtable_mib = 999999999",
                "memory.memtable_mib: is 999999999 MiB, and this machine has",
            ),
            ("[listen]\nport = 9180", "admin.port: is 9180, as listen.port is"),
            ("[listen]\nport = 99999", "expected a port between 1 and 65535"),
            ("[listen]\nport = -1", "expected a port between 1 and 65535"),
            ("[listen]\nbroadcast_address = \"0.0.0.0\"", "that drivers can reach"),
            ("[log]\nlevel = \"loud\"", "must be error, warn, info, debug, trace or off"),
            ("[log]\nlevel = \"info,tholos_storage=loud\"", "not \"tholos_storage=loud\""),
            ("data_dir = \"\"", "data_dir: must not be empty"),
            ("data_dir = \"/dev/null\"", "/dev/null is no directory"),
            ("rack = \" \"", "rack: must not be empty"),
            ("[limits]\nmax_connections = -1", "expected a whole number, 0 or more"),
            ("[limits]\nrequest_timeout_ms = 0", "limits.request_timeout_ms: must be at least 1"),
            ("[compaction]\nthreads = 100000", "must be at most 1024"),
        ] {
            assert!(problem(text).contains(told), "{text}: {}", problem(text));
        }
        for text in [
            "[log]\nlevel = \"info,tholos_storage=debug\"",
            "[log]\nlevel = \"WARN\"\nformat = \"json\"",
            "[listen]\nport = 0\n[admin]\nport = 0",
            "[listen]\nport = 9180\n[admin]\nenabled = false",
            "[listen]\nport = 9180\naddress = \"127.0.0.2\"",
        ] {
            assert_eq!(problem(text), "fine", "{text}");
        }
    }

    #[test]
    fn budgets_fit_into_the_machine() {
        let mut config = Config::default();
        (config.memory.memtable_mib, config.memory.block_cache_mib) = (600, 500);
        assert!(config.check_memory(1000 * MIB).is_err());
        assert!(config.check_memory(1200 * MIB).is_ok());
    }
}
