//! Sub-options of compaction, compression and caching: checked and in the form that the schema tables show.
//!
//! What Cassandra 5.0 knows is accepted with its ranges; class names come out full. Which of them act is storage's to
//! say.

use std::collections::BTreeMap;

use tholos_storage::compaction::{scaling_steps, size_in_bytes};
use tholos_storage::engine::MAX_BLOCK_KIB;

use super::options::{boolean, number};
use crate::error::QueryError;
use crate::query::suggest::nearest;

type Map = BTreeMap<String, String>;

const COMPACTION_PACKAGE: &str = "org.apache.cassandra.db.compaction.";
const COMPRESSION_PACKAGE: &str = "org.apache.cassandra.io.compress.";

/// What a sub-option takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Boolean,
    Integer(i64, i64),
    Float(f64, f64),
    OneOf(&'static [&'static str]),
    /// Bytes with a unit, such as `100MiB`.
    Size,
    /// `T4, L10, ...`: see [`scaling_steps`].
    Scaling,
}

/// Names of sub-options, and what they take.
type Known = &'static [(&'static str, Takes)];

use Takes::{Boolean, Float, Integer, OneOf, Scaling, Size};

const ANY_COMPACTION: Known = &[
    ("enabled", Boolean),
    ("log_all", Boolean),
    ("only_purge_repaired_tombstones", Boolean),
    ("provide_overlapping_tombstones", OneOf(&["NONE", "ROW", "CELL"])),
    ("tombstone_compaction_interval", Integer(0, i64::MAX)),
    ("tombstone_threshold", Float(0.0, 1.0)),
    ("unchecked_tombstone_compaction", Boolean),
];

const SIZE_TIERED: Known = &[
    ("bucket_high", Float(0.0, f64::MAX)),
    ("bucket_low", Float(0.0, f64::MAX)),
    ("max_threshold", Integer(0, i32::MAX as i64)),
    ("min_sstable_size", Integer(0, i64::MAX)),
    ("min_threshold", Integer(0, i32::MAX as i64)),
];

const LEVELED: Known = &[
    ("fanout_size", Integer(1, i32::MAX as i64)),
    ("max_threshold", Integer(0, i32::MAX as i64)),
    ("min_threshold", Integer(0, i32::MAX as i64)),
    ("single_sstable_uplevel", Boolean),
    ("sstable_size_in_mb", Integer(1, i32::MAX as i64)),
];

const TIME_WINDOW: Known = &[
    ("compaction_window_size", Integer(1, i32::MAX as i64)),
    ("compaction_window_unit", OneOf(&["MINUTES", "HOURS", "DAYS"])),
    ("expired_sstable_check_frequency_seconds", Integer(0, i64::MAX)),
    ("timestamp_resolution", OneOf(&["MICROSECONDS", "MILLISECONDS", "SECONDS", "NANOSECONDS"])),
    ("unsafe_aggressive_sstable_expiration", Boolean),
];

const UNIFIED: Known = &[
    ("base_shard_count", Integer(1, i32::MAX as i64)),
    ("expired_sstable_check_frequency_seconds", Integer(0, i64::MAX)),
    ("flush_size_override", Size),
    ("max_sstables_to_compact", Integer(0, i32::MAX as i64)),
    ("min_sstable_size", Size),
    ("overlap_inclusion_method", OneOf(&["NONE", "SINGLE", "TRANSITIVE"])),
    ("scaling_parameters", Scaling),
    ("sstable_growth", Float(0.0, 1.0)),
    ("target_sstable_size", Size),
    ("unsafe_aggressive_sstable_expiration", Boolean),
];

const ANY_COMPRESSION: Known = &[
    ("chunk_length_in_kb", Integer(1, 1 << 20)),
    ("chunk_length_kb", Integer(1, 1 << 20)),
    ("crc_check_chance", Float(0.0, 1.0)),
    ("enabled", Boolean),
    ("min_compress_ratio", Float(0.0, f64::MAX)),
];

const LZ4: Known = &[
    ("lz4_compressor_type", OneOf(&["fast", "high"])),
    ("lz4_high_compressor_level", Integer(1, 17)),
];

const ZSTD: Known = &[("compression_level", Integer(-131_072, 22))];

/// Strategies by short name: their own sub-options, and whether the thresholds are shown even where not given.
const STRATEGIES: &[(&str, &[Known], bool)] = &[
    ("SizeTieredCompactionStrategy", &[SIZE_TIERED], true),
    ("LeveledCompactionStrategy", &[LEVELED], true),
    ("TimeWindowCompactionStrategy", &[TIME_WINDOW, SIZE_TIERED], true),
    ("UnifiedCompactionStrategy", &[UNIFIED], false),
];

const COMPRESSORS: &[(&str, Known)] = &[
    ("LZ4Compressor", LZ4),
    ("ZstdCompressor", ZSTD),
    ("SnappyCompressor", &[]),
    ("DeflateCompressor", &[]),
    ("NoopCompressor", &[]),
];

/// `compaction = {...}` as it is stored.
///
/// # Errors
/// [`QueryError::Config`]: no or an unknown class, an unknown sub-option, a value out of range.
pub fn compaction(mut given: Map) -> Result<Map, QueryError> {
    let Some(class) = given.remove("class") else {
        return Err(QueryError::Config(
            "compaction needs a class, such as {'class': 'SizeTieredCompactionStrategy'}"
                .to_owned(),
        ));
    };
    let short = class.strip_prefix(COMPACTION_PACKAGE).unwrap_or(&class);
    let Some((name, own, thresholds)) = STRATEGIES.iter().find(|(name, ..)| *name == short) else {
        return Err(unknown_class(
            "compaction strategy",
            &class,
            STRATEGIES.iter().map(|(name, ..)| *name),
        ));
    };
    let known = own.iter().copied().chain([ANY_COMPACTION]);
    check("compaction", name, &given, known)?;
    if *thresholds {
        given.entry("min_threshold".to_owned()).or_insert_with(|| "4".to_owned());
        given.entry("max_threshold".to_owned()).or_insert_with(|| "32".to_owned());
        check_thresholds(&given)?;
    }
    given.insert("class".to_owned(), format!("{COMPACTION_PACKAGE}{name}"));
    Ok(given)
}

fn check_thresholds(given: &Map) -> Result<(), QueryError> {
    let threshold = |name: &str| given.get(name).and_then(|text| text.parse::<i64>().ok());
    let (Some(min), Some(max)) = (threshold("min_threshold"), threshold("max_threshold")) else {
        return Ok(());
    };
    if min < 2 || max < min {
        return Err(QueryError::Config(format!(
            "compaction needs 2 <= min_threshold <= max_threshold, and they are {min} and {max}; to turn compaction off use 'enabled': false"
        )));
    }
    Ok(())
}

/// `compression = {...}` as it is stored; `{'enabled': 'false'}` for none.
///
/// # Errors
/// [`QueryError::Config`]: an unknown class or sub-option, a value out of range.
pub fn compression(mut given: Map) -> Result<Map, QueryError> {
    let class = given.remove("class");
    let legacy = given.remove("sstable_compression");
    if class.is_some() && legacy.is_some() {
        return Err(QueryError::Config(
            "compression: 'sstable_compression' is the old name of 'class', leave it out"
                .to_owned(),
        ));
    }
    let enabled =
        given.get("enabled").map(|text| boolean("compression 'enabled'", text)).transpose()?;
    let class = class.or(legacy);
    let none = given.is_empty() && class.is_none();
    if none || class.as_deref() == Some("") || enabled == Some(false) {
        return Ok(Map::from([("enabled".to_owned(), "false".to_owned())]));
    }
    let Some(class) = class else {
        return Err(QueryError::Config(
            "compression needs a class, such as {'class': 'LZ4Compressor'}".to_owned(),
        ));
    };
    let short = class.strip_prefix(COMPRESSION_PACKAGE).unwrap_or(&class);
    let Some((name, own)) = COMPRESSORS.iter().find(|(name, _)| *name == short) else {
        return Err(unknown_class("compressor", &class, COMPRESSORS.iter().map(|(name, _)| *name)));
    };
    check("compression", name, &given, [*own, ANY_COMPRESSION].into_iter())?;
    let chunk = given.remove("chunk_length_kb").or_else(|| given.remove("chunk_length_in_kb"));
    let chunk = chunk.unwrap_or_else(|| "16".to_owned());
    if !chunk.parse::<u32>().is_ok_and(u32::is_power_of_two) {
        return Err(QueryError::Config(format!(
            "chunk_length_in_kb must be a power of 2, and is {chunk}"
        )));
    }
    given.remove("enabled");
    given.remove("crc_check_chance");
    given.insert("chunk_length_in_kb".to_owned(), chunk);
    given.insert("class".to_owned(), format!("{COMPRESSION_PACKAGE}{name}"));
    Ok(given)
}

/// What storage does otherwise than checked compression options say: warnings for who gave them.
pub fn substitutions(stored: &Map) -> Vec<String> {
    let option = |name: &str| stored.get(name).map_or("", String::as_str);
    let class = option("class");
    let instead = match class.strip_prefix(COMPRESSION_PACKAGE).unwrap_or(class) {
        "SnappyCompressor" => Some("SnappyCompressor: files are compressed with LZ4 instead"),
        "DeflateCompressor" => {
            Some("DeflateCompressor: files are compressed with Zstandard instead")
        }
        _ => None,
    };
    let mut warnings: Vec<String> = instead.map(str::to_owned).into_iter().collect();
    if option("lz4_compressor_type").eq_ignore_ascii_case("high") {
        warnings.push(
            "lz4_compressor_type 'high' has no effect: use ZstdCompressor for smaller files"
                .to_owned(),
        );
    }
    if option("chunk_length_in_kb").parse::<usize>().is_ok_and(|kib| kib > MAX_BLOCK_KIB) {
        warnings.push(format!(
            "chunk_length_in_kb is more than {MAX_BLOCK_KIB}: files have blocks of {MAX_BLOCK_KIB} KiB"
        ));
    }
    warnings
}

/// `caching = {...}` as it is stored.
///
/// # Errors
/// [`QueryError::Config`]: an unknown sub-option or value.
pub fn caching(given: Map) -> Result<Map, QueryError> {
    let (mut keys, mut rows) = ("ALL".to_owned(), "NONE".to_owned());
    for (name, value) in given {
        let upper = value.to_uppercase();
        let all_or_none = upper == "ALL" || upper == "NONE";
        match name.as_str() {
            "keys" if all_or_none => keys = upper,
            "rows_per_partition" if all_or_none || value.parse::<u32>().is_ok() => rows = upper,
            "keys" => {
                return Err(QueryError::Config(format!(
                    "caching 'keys' is ALL or NONE, not '{value}'"
                )));
            }
            "rows_per_partition" => {
                return Err(QueryError::Config(format!(
                    "caching 'rows_per_partition' is ALL, NONE or a number, not '{value}'"
                )));
            }
            _ => return Err(unknown("caching", &name, ["keys", "rows_per_partition"].into_iter())),
        }
    }
    Ok(Map::from([("keys".to_owned(), keys), ("rows_per_partition".to_owned(), rows)]))
}

/// Checks that each sub-option is known and in range.
fn check(
    option: &str,
    class: &str,
    given: &Map,
    known: impl Iterator<Item = Known> + Clone,
) -> Result<(), QueryError> {
    for (name, value) in given {
        let takes = known.clone().flatten().find(|(known, _)| known == name);
        let Some((_, takes)) = takes else {
            let names = known.clone().flatten().map(|(name, _)| *name);
            return Err(unknown(&format!("{option} of class {class}"), name, names));
        };
        check_value(&format!("{option} '{name}'"), value, *takes)?;
    }
    Ok(())
}

fn check_value(name: &str, value: &str, takes: Takes) -> Result<(), QueryError> {
    match takes {
        Boolean => boolean(name, value).map(drop),
        Integer(low, high) => number(name, value, low, high).map(drop),
        Float(low, high) => number(name, value, low, high).map(drop),
        OneOf(values) if values.iter().any(|known| known.eq_ignore_ascii_case(value)) => Ok(()),
        OneOf(values) => Err(QueryError::Config(format!(
            "{name} is one of {}, not '{value}'",
            values.join(", ")
        ))),
        Size if size_in_bytes(value).is_some() => Ok(()),
        Size => {
            Err(QueryError::Config(format!("{name} is a size such as '100MiB', not '{value}'")))
        }
        Scaling => match scaling_steps(value) {
            Ok(_) => Ok(()),
            Err(why) => Err(QueryError::Config(format!("{name}: {why}"))),
        },
    }
}

fn unknown<'k>(
    option: &str,
    name: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> QueryError {
    let suggestion = nearest(name, known.clone());
    let known: Vec<&str> = known.collect();
    QueryError::Config(format!("{option} has no '{name}'{suggestion}; it has {}", known.join(", ")))
}

fn unknown_class<'k>(
    what: &str,
    class: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> QueryError {
    let suggestion = nearest(class, known.clone());
    let known: Vec<&str> = known.collect();
    QueryError::Config(format!(
        "unknown {what} '{class}'{suggestion}; use one of {}",
        known.join(", ")
    ))
}
