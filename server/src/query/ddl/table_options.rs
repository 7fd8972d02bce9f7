//! Options of CREATE TABLE and ALTER TABLE: all of Cassandra 5.0's, checked and in the form that DESCRIBE shows.

use tholos_storage::schema::options::TableOptions;

use super::options::OptionReader;
use super::suboptions::{caching, compaction, compression, substitutions};
use crate::error::QueryError;
use crate::query::modify::attributes::MAX_TTL;

/// The least chance of a false positive that a Bloom filter can be made for, as in Cassandra.
const LEAST_FP_CHANCE: f64 = 6.71e-5;

/// Options that Cassandra dropped: read so that old schemas load, and ignored.
const OBSOLETE: [&str; 3] =
    ["read_repair_chance", "dclocal_read_repair_chance", "populate_io_cache_on_flush"];

/// Applies options to those that a table has (a new table: the defaults). Returns warnings.
///
/// # Errors
/// [`QueryError::Config`] that names the option, what was wrong and what it takes.
pub fn apply(
    options: &mut TableOptions,
    reader: &mut OptionReader<'_>,
) -> Result<Vec<String>, QueryError> {
    let (compresses, captures) = (reader.has("compression"), reader.has("cdc"));
    durations(options, reader)?;
    storage(options, reader)?;
    policies(options, reader)?;
    let mut warnings = if compresses { substitutions(&options.compression) } else { Vec::new() };
    if captures && options.cdc {
        warnings.push(
            "cdc = true has no effect: there is no change data capture; leave it out, or use cdc = false"
                .to_owned(),
        );
    }
    for name in OBSOLETE {
        if reader.text(name)?.is_some() {
            warnings.push(format!("option {name} is obsolete and has no effect: leave it out"));
        }
    }
    if options.max_index_interval < options.min_index_interval {
        return Err(QueryError::Config(format!(
            "max_index_interval must be at least min_index_interval, and they are {} and {}",
            options.max_index_interval, options.min_index_interval
        )));
    }
    Ok(warnings)
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn durations(o: &mut TableOptions, reader: &mut OptionReader<'_>) -> Result<(), QueryError> {
    set(&mut o.default_time_to_live, reader.number("default_time_to_live", 0, MAX_TTL)?);
    set(&mut o.gc_grace_seconds, reader.number("gc_grace_seconds", 0, i32::MAX)?);
    set(
        &mut o.memtable_flush_period_in_ms,
        reader.number("memtable_flush_period_in_ms", 0, i32::MAX)?,
    );
    Ok(())
}

fn storage(o: &mut TableOptions, reader: &mut OptionReader<'_>) -> Result<(), QueryError> {
    set(&mut o.allow_auto_snapshot, reader.boolean("allow_auto_snapshot")?);
    set(
        &mut o.bloom_filter_fp_chance,
        reader.number("bloom_filter_fp_chance", LEAST_FP_CHANCE, 1.0)?,
    );
    set(&mut o.caching, reader.map("caching")?.map(caching).transpose()?);
    set(&mut o.cdc, reader.boolean("cdc")?);
    set(&mut o.comment, reader.text("comment")?);
    set(&mut o.compaction, reader.map("compaction")?.map(compaction).transpose()?);
    set(&mut o.compression, reader.map("compression")?.map(compression).transpose()?);
    set(&mut o.crc_check_chance, reader.number("crc_check_chance", 0.0, 1.0)?);
    set(&mut o.extensions, reader.blobs("extensions")?);
    set(&mut o.incremental_backups, reader.boolean("incremental_backups")?);
    set(&mut o.max_index_interval, reader.number("max_index_interval", 1, i32::MAX)?);
    set(&mut o.memtable, reader.text("memtable")?);
    set(&mut o.min_index_interval, reader.number("min_index_interval", 1, i32::MAX)?);
    Ok(())
}

fn policies(o: &mut TableOptions, reader: &mut OptionReader<'_>) -> Result<(), QueryError> {
    let name = "additional_write_policy";
    let policy = reader.text(name)?.map(|text| retry_policy(name, &text)).transpose()?;
    set(&mut o.additional_write_policy, policy);
    let name = "speculative_retry";
    let policy = reader.text(name)?.map(|text| retry_policy(name, &text)).transpose()?;
    set(&mut o.speculative_retry, policy);
    let Some(repair) = reader.text("read_repair")? else { return Ok(()) };
    o.read_repair = match repair.to_uppercase().as_str() {
        known @ ("BLOCKING" | "NONE") => known.to_owned(),
        _ => {
            return Err(QueryError::Config(format!(
                "read_repair is BLOCKING or NONE, not '{repair}'"
            )));
        }
    };
    Ok(())
}

/// A retry policy as DESCRIBE shows it: `NEVER`, `ALWAYS`, `99p`, `50ms`, `MIN(99p,50ms)`, `MAX(99p,50ms)`.
fn retry_policy(name: &str, text: &str) -> Result<String, QueryError> {
    let wrong = || {
        QueryError::Config(format!(
            "{name} is NEVER, ALWAYS, a percentile such as 99p, a time such as 50ms, or MIN(99p,50ms) and the like, not '{text}'"
        ))
    };
    let upper = text.trim().to_uppercase();
    if upper == "NONE" || upper == "NEVER" {
        return Ok("NEVER".to_owned());
    }
    if upper == "ALWAYS" {
        return Ok(upper);
    }
    if let Some(single) = percentile(&upper).or_else(|| milliseconds(&upper)) {
        return Ok(single);
    }
    let (function, rest) = upper.split_once('(').ok_or_else(wrong)?;
    let (left, right) =
        rest.strip_suffix(')').and_then(|inner| inner.split_once(',')).ok_or_else(wrong)?;
    let pair = match (percentile(left), milliseconds(right)) {
        (Some(percentile), Some(milliseconds)) => Some((percentile, milliseconds)),
        _ => percentile(right).zip(milliseconds(left)),
    };
    match (function.trim(), pair) {
        (function @ ("MIN" | "MAX"), Some((percentile, milliseconds))) => {
            Ok(format!("{function}({percentile},{milliseconds})"))
        }
        _ => Err(wrong()),
    }
}

fn percentile(text: &str) -> Option<String> {
    let text = text.trim();
    let number = text.strip_suffix("PERCENTILE").or_else(|| text.strip_suffix('P'))?;
    let number: f64 = number.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then(|| format!("{number}p"))
}

fn milliseconds(text: &str) -> Option<String> {
    let number: f64 = text.trim().strip_suffix("MS")?.trim().parse().ok()?;
    (number >= 0.0 && number.is_finite()).then(|| format!("{number}ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_policies_have_one_form() {
        let policy = |text| retry_policy("speculative_retry", text).ok();
        assert_eq!(policy("99PERCENTILE").as_deref(), Some("99p"));
        assert_eq!(policy("99.9p").as_deref(), Some("99.9p"));
        assert_eq!(policy("50ms").as_deref(), Some("50ms"));
        assert_eq!(policy("none").as_deref(), Some("NEVER"));
        assert_eq!(policy("min(50ms, 99p)").as_deref(), Some("MIN(99p,50ms)"));
        for wrong in ["101p", "50", "", "MIN(99p)", "AVG(99p,50ms)", "-1ms"] {
            assert_eq!(policy(wrong), None, "{wrong}");
        }
    }
}
