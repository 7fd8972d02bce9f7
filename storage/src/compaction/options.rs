//! Cassandra's compaction options as parameters of the one strategy.

use std::collections::BTreeMap;

use super::levels::{Levels, Step};
use super::unified::Unified;

const MIB: u64 = 1 << 20;

/// Half of what a flush usually writes, so that a merge of a few flushed files is of the next level.
const BASE_BYTES: u64 = 32 * MIB;

/// How a table's files are compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactionOptions {
    /// Whether that happens by itself at all.
    pub enabled: bool,
    /// What is merged.
    pub strategy: Unified,
}

impl Default for CompactionOptions {
    fn default() -> Self {
        CompactionOptions::of(&BTreeMap::new())
    }
}

impl CompactionOptions {
    /// What a table's `compaction = {...}` says. Options that were validated are taken as they are; others keep their
    /// defaults, and so does a class that is not known: size-tiered.
    pub fn of(options: &BTreeMap<String, String>) -> CompactionOptions {
        let options = Options(options);
        let class = options.text("class").unwrap_or_default();
        let strategy = match class.rsplit('.').next().unwrap_or_default() {
            "LeveledCompactionStrategy" => leveled(options),
            "TimeWindowCompactionStrategy" => time_window(options),
            "UnifiedCompactionStrategy" => unified(options),
            _ => size_tiered(options),
        };
        CompactionOptions { enabled: options.truth("enabled") != Some(false), strategy }
    }
}

#[derive(Clone, Copy)]
struct Options<'a>(&'a BTreeMap<String, String>);

impl<'a> Options<'a> {
    fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }

    fn number<T: std::str::FromStr>(self, name: &str, default: T) -> T {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    fn size(self, name: &str, default: u64) -> u64 {
        self.text(name).and_then(size_in_bytes).unwrap_or(default)
    }

    fn is_true(self, name: &str) -> bool {
        self.truth(name) == Some(true)
    }

    /// In any of the spellings that CREATE TABLE takes.
    fn truth(self, name: &str) -> Option<bool> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        }
    }
}

/// What all classes share.
fn common(options: Options<'_>, levels: Levels) -> Unified {
    Unified {
        levels,
        max_files: options.number("max_threshold", 32_usize).max(2),
        fragment_bytes: 1024 * MIB,
        base_slices: (1, 0),
        window: None,
        tombstone_threshold: options.number("tombstone_threshold", 0.2),
        drops_expired_blindly: false,
    }
}

fn size_tiered(options: Options<'_>) -> Unified {
    let levels = Levels::Similar {
        bucket: (options.number("bucket_low", 0.5), options.number("bucket_high", 1.5)),
        min_bytes: options.number("min_sstable_size", 50 * MIB),
        threshold: options.number("min_threshold", 4),
    };
    common(options, levels)
}

/// Small files are merged four at a time; from there on each level is one run, ten times as dense as the one before.
fn leveled(options: Options<'_>) -> Unified {
    let first = Step { fan: 4, threshold: options.number("min_threshold", 4_usize) };
    let next = Step { fan: options.number("fanout_size", 10), threshold: 2 };
    let levels = Levels::Geometric { base_bytes: BASE_BYTES, steps: vec![first, next] };
    Unified {
        fragment_bytes: options.number("sstable_size_in_mb", 160_u64) * MIB,
        ..common(options, levels)
    }
}

fn time_window(options: Options<'_>) -> Unified {
    let unit = match options.text("compaction_window_unit").map(str::to_uppercase).as_deref() {
        Some("MINUTES") => 60,
        Some("HOURS") => 3_600,
        _ => 86_400,
    };
    let per_second = match options.text("timestamp_resolution").map(str::to_uppercase).as_deref() {
        Some("SECONDS") => 1,
        Some("MILLISECONDS") => 1_000,
        Some("NANOSECONDS") => 1_000_000_000,
        _ => 1_000_000_i64,
    };
    let length = options.number("compaction_window_size", 1_i64).max(1);
    Unified {
        window: Some(length.saturating_mul(unit).saturating_mul(per_second)),
        drops_expired_blindly: options.is_true("unsafe_aggressive_sstable_expiration"),
        // Files go whole as they expire: unless it is asked for, none is written anew for the part that expired first.
        tombstone_threshold: options.number("tombstone_threshold", f64::INFINITY),
        ..size_tiered(options)
    }
}

fn unified(options: Options<'_>) -> Unified {
    let steps = options.text("scaling_parameters").and_then(|text| scaling_steps(text).ok());
    let steps = steps.unwrap_or_else(|| vec![Step { fan: 4, threshold: 4 }]);
    let base_bytes = options.size("flush_size_override", BASE_BYTES * 2) / 2;
    let most = options.number("max_sstables_to_compact", 32_usize);
    Unified {
        fragment_bytes: options.size("target_sstable_size", 1024 * MIB).clamp(MIB, 1024 * MIB),
        base_slices: (
            options.number("base_shard_count", 4),
            options.size("min_sstable_size", 100 * MIB),
        ),
        drops_expired_blindly: options.is_true("unsafe_aggressive_sstable_expiration"),
        max_files: if most < 2 { 32 } else { most },
        ..common(options, Levels::Geometric { base_bytes, steps })
    }
}

/// `scaling_parameters`: per level, `T` and the number of files to merge, `L` and the fan of a leveled level, `N` for
/// either with 2, or the number w of both (`T` of w + 2, `L` of 2 - w); the last one repeats.
///
/// # Errors
/// What does not fit, for a message.
pub fn scaling_steps(text: &str) -> Result<Vec<Step>, String> {
    text.split(',').map(|part| scaling_step(part.trim())).collect()
}

fn scaling_step(text: &str) -> Result<Step, String> {
    let refused = || {
        format!("{text:?} is no scaling parameter: use T4, L10, N or a number, separated by commas")
    };
    let fan = |digits: &str| {
        digits.parse::<u32>().ok().filter(|fan| (2..=1_000).contains(fan)).ok_or_else(refused)
    };
    let tiered = |fan: u32| Step { fan, threshold: fan as usize };
    let leveled = |fan: u32| Step { fan, threshold: 2 };
    match text.split_at_checked(1) {
        Some(("N", "")) => Ok(tiered(2)),
        Some(("T", digits)) => Ok(tiered(fan(digits)?)),
        Some(("L", digits)) => Ok(leveled(fan(digits)?)),
        _ => match text.parse::<i32>().map_err(|_| refused())? {
            w @ 0..=998 => Ok(tiered(w.unsigned_abs() + 2)),
            w @ -998..0 => Ok(leveled(w.unsigned_abs() + 2)),
            _ => Err(refused()),
        },
    }
}

/// A size as Cassandra's options have it: a number of bytes, or one with a unit (`100MiB`, `1 GB`). Units are powers of
/// 1024, whichever way they are written.
pub fn size_in_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}
