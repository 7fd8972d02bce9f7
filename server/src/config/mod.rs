//! Configuration: a TOML file, overridden by flags.
//!
//! `default.toml` beside this file is the documentation: it names every key with its default, and a test holds it to
//! that. Unknown keys are errors, with the key that was probably meant. `check` has the rules for values.

mod check;
mod cluster;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::cluster::{ClusterConfig, PEER_PORT, PeerAddress};

/// The commented default file.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

const MIB: u64 = 1 << 20;

/// What a request may take beside its body: its header, the wrapper it comes in, and what is read with it.
const FRAME_OVERHEAD: usize = 256 << 10;

/// All settings. See `default.toml` for what each means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)] // documented where users read it: default.toml
pub struct Config {
    pub cluster_name: String,
    pub data_center: String,
    pub rack: String,
    pub data_dir: PathBuf,
    pub auto_snapshot: bool,
    pub auto_snapshot_max_age_days: u32,
    pub auto_snapshot_max_mib: u64,
    pub listen: ListenConfig,
    pub cluster: ClusterConfig,
    pub admin: AdminConfig,
    pub commit_log: CommitLogConfig,
    pub memory: MemoryConfig,
    pub compaction: CompactionConfig,
    pub reads: ReadsConfig,
    pub timestamps: TimestampsConfig,
    pub limits: LimitsConfig,
    pub log: LogConfig,
}

/// Where drivers connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ListenConfig {
    pub address: IpAddr,
    pub port: u16,
    pub broadcast_address: String,
}

/// Health and metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct AdminConfig {
    pub enabled: bool,
    pub address: IpAddr,
    pub port: u16,
    pub table_metrics: usize,
}

/// When reads are worth a warning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ReadsConfig {
    pub tombstone_warn_threshold: u64,
}

/// Which timestamps of clients are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct TimestampsConfig {
    pub warn_ahead_s: u32,
    pub refuse_ahead_s: u32,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum CommitLogMode {
    Group,
    Batch,
    Periodic,
}

/// The commit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct CommitLogConfig {
    pub mode: CommitLogMode,
    pub periodic_interval_ms: u64,
    pub segment_mib: u32,
    pub total_mib: u64,
}

/// Memory budgets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MemoryConfig {
    pub memtable_mib: u64,
    pub block_cache_mib: u64,
    pub requests_mib: u64,
}

/// Compaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct CompactionConfig {
    pub calm_mib_per_s: u64,
    pub threads: usize,
}

/// Limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct LimitsConfig {
    pub max_connections: usize,
    pub frame_mib: u64,
    pub prepared_cache_mib: u64,
    pub request_timeout_ms: u64,
    pub in_flight_mib: u64,
    pub startup_timeout_ms: u64,
    pub batch_warn_kib: usize,
    pub batch_fail_kib: usize,
    pub batch_warn_partitions: usize,
    pub frame_timeout_ms: u64,
}

/// The log on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no TOML, has unknown keys, or values of the wrong type.
    #[error("configuration {file}: {message}{suggestion}")]
    Parse {
        /// The file, or where else it came from.
        file: String,
        /// What is wrong, with line, column and the place.
        message: String,
        /// What was probably meant; may be empty.
        suggestion: String,
    },
    /// A value makes no sense.
    #[error("configuration key {key}: {message}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong and what to write.
        message: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Config {
            cluster_name: "Tholos".to_string(),
            data_center: "datacenter1".to_string(),
            rack: "rack1".to_string(),
            data_dir: PathBuf::from("./tholos-data"),
            auto_snapshot: true,
            auto_snapshot_max_age_days: 7,
            auto_snapshot_max_mib: 0,
            listen: ListenConfig::default(),
            cluster: ClusterConfig::default(),
            admin: AdminConfig::default(),
            commit_log: CommitLogConfig::default(),
            memory: MemoryConfig::default(),
            compaction: CompactionConfig::default(),
            reads: ReadsConfig::default(),
            timestamps: TimestampsConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        ListenConfig {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 9042,
            broadcast_address: String::new(),
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        AdminConfig {
            enabled: true,
            address: Ipv4Addr::LOCALHOST.into(),
            port: 9180,
            table_metrics: 200,
        }
    }
}

impl Default for ReadsConfig {
    fn default() -> Self {
        ReadsConfig { tombstone_warn_threshold: 1000 }
    }
}

impl Default for TimestampsConfig {
    fn default() -> Self {
        TimestampsConfig { warn_ahead_s: 600, refuse_ahead_s: 86_400 }
    }
}

impl Default for CommitLogConfig {
    fn default() -> Self {
        CommitLogConfig {
            mode: CommitLogMode::Group,
            periodic_interval_ms: 10_000,
            segment_mib: 32,
            total_mib: 2048,
        }
    }
}

impl Default for CompactionConfig {
    fn default() -> Self {
        CompactionConfig { calm_mib_per_s: 64, threads: 0 }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            max_connections: 10_000,
            frame_mib: 256,
            prepared_cache_mib: 64,
            request_timeout_ms: 10_000,
            in_flight_mib: 16,
            startup_timeout_ms: 10_000,
            batch_warn_kib: 5,
            batch_fail_kib: 50,
            batch_warn_partitions: 10,
            frame_timeout_ms: 10_000,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { level: "info".to_string(), format: LogFormat::Text }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file can't be read or parsed, a key is unknown, a value makes no sense.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Read { file: file.to_path_buf(), source })?;
        Config::parse(&text, &file.display().to_string())
    }

    /// Reads TOML; `file` is for messages.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| ConfigError::Parse {
            file: file.to_string(),
            message: check::in_words(error.to_string().trim_end()),
            suggestion: suggestion(text),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Where to listen for drivers.
    pub fn listen_address(&self) -> SocketAddr {
        SocketAddr::new(self.listen.address, self.listen.port)
    }

    /// Where to listen for HTTP.
    pub fn admin_address(&self) -> SocketAddr {
        SocketAddr::new(self.admin.address, self.admin.port)
    }

    /// The address to tell drivers; an unspecified one (`0.0.0.0`) is told as loopback.
    pub fn broadcast_address(&self) -> IpAddr {
        match self.listen.broadcast_address.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) if self.listen.address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            Err(_) => self.listen.address,
        }
    }

    /// Bytes of all memtables, those that are being flushed included. The default leaves memory to the rest of the
    /// machine, and to the page cache, which holds blocks compressed: larger memtables hardly make writes cheaper.
    pub fn memtable_bytes(&self) -> u64 {
        match self.memory.memtable_mib {
            0 => (system_memory_bytes() / 64).clamp(32 * MIB, 320 * MIB),
            mib => mib * MIB,
        }
    }

    /// Bytes of the block cache.
    pub fn block_cache_bytes(&self) -> u64 {
        match self.memory.block_cache_mib {
            0 => (system_memory_bytes() / 256).clamp(32 * MIB, 1024 * MIB),
            mib => mib * MIB,
        }
    }

    /// Bytes of requests and answers of all clients that are not done with.
    pub fn request_bytes(&self) -> usize {
        let bytes = match self.memory.requests_mib {
            0 => (system_memory_bytes() / 16).clamp(64 * MIB, 4096 * MIB),
            mib => mib.saturating_mul(MIB),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX / 2)
    }

    /// The largest request in bytes: what is configured, or less where one client can't have so much memory.
    pub fn frame_bytes(&self, most_of_one: usize) -> usize {
        let configured = usize::try_from(self.limits.frame_mib * MIB).unwrap_or(usize::MAX);
        configured.min(most_of_one.saturating_sub(FRAME_OVERHEAD))
    }

    /// How many compactions may run at once.
    pub fn compaction_threads(&self) -> usize {
        match self.compaction.threads {
            0 => cores().saturating_sub(1).max(1),
            threads => threads,
        }
    }

    /// Settings by key, section and all, as the system tables show them: where the file leaves it to the node, what it
    /// chose.
    pub fn entries(&self) -> Vec<(String, String)> {
        let mut effective = self.clone();
        effective.listen.broadcast_address = self.broadcast_address().to_string();
        effective.memory.memtable_mib = self.memtable_bytes() / MIB;
        effective.memory.block_cache_mib = self.block_cache_bytes() / MIB;
        effective.compaction.threads = self.compaction_threads();
        let mut entries = Vec::new();
        if let Ok(table) = toml::Table::try_from(&effective) {
            flatten("", &table, &mut entries);
        }
        entries
    }
}

impl LimitsConfig {
    /// Answers that one connection may have waiting, in bytes.
    pub fn in_flight_bytes(&self) -> usize {
        (self.in_flight_mib * MIB) as usize
    }

    /// The prepared cache in bytes.
    pub fn prepared_cache_bytes(&self) -> u64 {
        self.prepared_cache_mib * MIB
    }

    /// How large batches may be.
    pub fn batch_limits(&self) -> BatchLimits {
        BatchLimits {
            warn_bytes: self.batch_warn_kib << 10,
            fail_bytes: self.batch_fail_kib << 10,
            warn_partitions: self.batch_warn_partitions,
        }
    }

    /// How long a client may take to open its session.
    pub fn startup_timeout(&self) -> Duration {
        Duration::from_millis(self.startup_timeout_ms)
    }

    /// How long a request that was begun may take to get on.
    pub fn frame_timeout(&self) -> Duration {
        Duration::from_millis(self.frame_timeout_ms)
    }
}

impl fmt::Display for CommitLogMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommitLogMode::Group => "group",
            CommitLogMode::Batch => "batch",
            CommitLogMode::Periodic => "periodic",
        })
    }
}

fn flatten(prefix: &str, table: &toml::Table, entries: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, entries),
            toml::Value::String(text) => entries.push((key, text.clone())),
            other => entries.push((key, other.to_string())),
        }
    }
}

/// "Did you mean" for the first key that the default file doesn't have.
fn suggestion(text: &str) -> String {
    let (Ok(given), Ok(known)) = (text.parse::<toml::Table>(), DEFAULT_TOML.parse()) else {
        return String::new();
    };
    unknown_key("", &given, &known).unwrap_or_default()
}

fn unknown_key(section: &str, given: &toml::Table, known: &toml::Table) -> Option<String> {
    for (key, value) in given {
        match (value, known.get(key)) {
            (toml::Value::Table(given), Some(toml::Value::Table(known))) => {
                if let Some(found) = unknown_key(key, given, known) {
                    return Some(found);
                }
            }
            (_, Some(_)) => {}
            (_, None) => return Some(nearest(section, key, known)),
        }
    }
    None
}

fn nearest(section: &str, key: &str, known: &toml::Table) -> String {
    let full = |key: &str| match section {
        "" => key.to_string(),
        section => format!("{section}.{key}"),
    };
    let scored =
        known.keys().map(|other| (strsim::normalized_damerau_levenshtein(key, other), other));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, other)) if score >= 0.5 => {
            format!("\nunknown key {}: did you mean {}?", full(key), full(other))
        }
        _ => format!("\nunknown key {}: `tholos config default` lists all keys", full(key)),
    }
}

/// This machine's memory; half a GiB where it can't be known.
fn system_memory_bytes() -> u64 {
    const UNKNOWN: u64 = 512 * MIB;
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else { return UNKNOWN };
    text.lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(UNKNOWN, |kib| kib * 1024)
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How large batches may be; 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes above which a batch comes back with a warning.
    pub warn_bytes: usize,
    /// Bytes above which it is refused.
    pub fail_bytes: usize,
    /// Partitions above which one that is not logged comes back with a warning.
    pub warn_partitions: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(table: &toml::Table) -> Vec<String> {
        let mut entries = Vec::new();
        flatten("", table, &mut entries);
        let mut keys: Vec<String> = entries.into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_default_file_is_the_defaults_and_has_every_key() {
        assert_eq!(Config::parse(DEFAULT_TOML, "default").unwrap(), Config::default());
        let written: toml::Table = DEFAULT_TOML.parse().unwrap();
        let all = toml::Table::try_from(Config::default()).unwrap();
        assert_eq!(keys(&written), keys(&all));
    }

    #[test]
    fn every_key_of_the_default_file_is_explained() {
        let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is_key = line.contains(" = ") && !line.starts_with('#');
            // A key right after another shares its comment.
            let explained = number > 0 && !lines[number - 1].is_empty();
            assert!(!is_key || explained, "no comment for {line:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_a_suggestion() {
        let error = Config::parse("[listen]\nprot = 9042\n", "t.toml").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        assert!(error.contains("did you mean listen.port?"), "{error}");
        let error = Config::parse("clustername = \"x\"\n", "t.toml").unwrap_err().to_string();
        assert!(error.contains("did you mean cluster_name?"), "{error}");
        let error = Config::parse("zzz = 1\n", "t.toml").unwrap_err().to_string();
        assert!(error.contains("tholos config default"), "{error}");
    }

    #[test]
    fn values_without_sense_name_their_key() {
        let error = Config::parse("[limits]\nframe_mib = 900\n", "t").unwrap_err().to_string();
        assert!(error.contains("limits.frame_mib"), "{error}");
        assert!(Config::parse("[commit_log]\nmode = \"never\"\n", "t").is_err());
        let error = Config::parse("[listen]\nbroadcast_address = \"me\"\n", "t").unwrap_err();
        assert!(error.to_string().contains("IP address"));
    }

    #[test]
    fn a_file_only_says_what_it_changes() {
        let config = Config::parse("[listen]\nport = 9999\n", "t").unwrap();
        assert_eq!(config.listen_address().to_string(), "127.0.0.1:9999");
        assert_eq!(config.cluster_name, "Tholos");
        let entries = config.entries();
        assert!(entries.contains(&("listen.port".to_string(), "9999".to_string())));
    }

    #[test]
    fn entries_are_what_is_in_effect() {
        let entries = Config::default().entries();
        let of = |key: &str| entries.iter().find(|(name, _)| name == key).unwrap().1.clone();
        for key in ["memory.memtable_mib", "memory.block_cache_mib", "compaction.threads"] {
            assert!(of(key).parse::<u64>().unwrap() > 0, "{key}");
        }
        assert_eq!(of("listen.broadcast_address"), "127.0.0.1");
        assert_eq!(of("limits.batch_fail_kib"), "50");
    }
}
