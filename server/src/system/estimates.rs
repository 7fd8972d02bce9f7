//! `system.size_estimates` and `system.table_estimates`: how many partitions each table has in each range of tokens, and how
//! large they are. Spark and Trino divide their work by it.
//!
//! What is in SSTables counts, memtables don't, as in Cassandra. A file's partitions are taken to be spread evenly between
//! its first and its last token; one that is in several files counts in each.

use std::collections::BTreeMap;

use tholos_grammar::value::Value;
use tholos_storage::engine::SsTableStats;
use tholos_storage::model::position::token_of;

use super::RequestInfo;
use super::catalogue::Sink;
use super::rows::{Row, text};
use crate::error::QueryError;

/// The kinds of ranges of `table_estimates`. There is one node, so both are the same.
const RANGE_TYPES: [&str; 2] = ["local_primary", "primary"];

/// What a table has in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Estimate {
    partitions: f64,
    bytes: f64,
}

/// Partitions between two tokens: those above `start`, up to and with `end`. The least token as `end` is the ring's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: i64,
    end: i64,
}

impl Range {
    /// The first token and the one behind the last.
    fn bounds(self) -> (i128, i128) {
        let end = if self.end == i64::MIN { i64::MAX } else { self.end };
        (i128::from(self.start) + 1, i128::from(end) + 1)
    }

    /// The part of `first..=last` that lies in here, from 0 to 1.
    fn share_of(self, first: i64, last: i64) -> f64 {
        let (lower, upper) = self.bounds();
        let (first, behind) = (i128::from(first), i128::from(last) + 1);
        let common = upper.min(behind) - lower.max(first);
        common.max(0) as f64 / (behind - first).max(1) as f64
    }
}

/// The ranges of a node that is alone with its tokens: the one over the ring's end is cut in two.
fn ranges(tokens: &[i64]) -> Vec<Range> {
    let mut ends = tokens.to_vec();
    ends.extend([i64::MIN]);
    ends.sort_unstable();
    ends.dedup();
    // The least token begins the first range and ends the last.
    let starts = ends.iter().copied();
    let ends = ends.iter().copied().cycle().skip(1);
    starts.zip(ends).map(|(start, end)| Range { start, end }).collect()
}

fn estimate<'f>(files: impl Iterator<Item = &'f SsTableStats>, range: Range) -> Estimate {
    files.fold(Estimate::default(), |sum, file| {
        let statistics = &file.file.statistics;
        let (first, last) = (token_of(&statistics.min_key), token_of(&statistics.max_key));
        let share = range.share_of(first, last);
        Estimate {
            partitions: sum.partitions + statistics.partitions as f64 * share,
            bytes: sum.bytes + statistics.uncompressed_bytes as f64 * share,
        }
    })
}

/// The rows of `size_estimates`, or, with types of ranges, of `table_estimates`.
pub(super) fn rows(
    with_types: bool,
    request: &RequestInfo<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let mut files: BTreeMap<(&str, &str), Vec<&SsTableStats>> = BTreeMap::new();
    let sstables = request.system.sstables();
    for file in &sstables {
        files.entry((&file.keyspace, &file.table)).or_default().push(file);
    }
    let ranges = ranges(&request.system.local().tokens);
    let types = if with_types { &RANGE_TYPES[..] } else { &[""] };
    for keyspace in request.catalogue.schema.keyspaces.values() {
        let keyspace_name = keyspace.name.as_str();
        if !request.wanted.has_key(keyspace_name) {
            continue;
        }
        let only = request.wanted.clustering();
        for table in keyspace.tables.keys().filter(|name| only.is_none_or(|only| **name == *only)) {
            let own = files.get(&(keyspace_name, table.as_str())).map_or(&[][..], Vec::as_slice);
            for range in &ranges {
                let estimate = estimate(own.iter().copied(), *range);
                for range_type in types {
                    sink(&row(keyspace_name, table.as_str(), range_type, *range, estimate))?;
                }
            }
        }
    }
    Ok(())
}

fn row(
    keyspace: &str,
    table: &str,
    range_type: &str,
    range: Range,
    estimate: Estimate,
) -> Row<'static> {
    let partitions = estimate.partitions.round();
    let mean = if partitions > 0.0 { estimate.bytes / estimate.partitions } else { 0.0 };
    vec![
        ("keyspace_name", text(keyspace)),
        ("table_name", text(table)),
        ("range_type", text(range_type)),
        ("range_start", text(range.start.to_string())),
        ("range_end", text(range.end.to_string())),
        // From floating point, these end at the ends of bigint.
        ("mean_partition_size", Some(Value::Bigint(mean.round() as i64))),
        ("partitions_count", Some(Value::Bigint(partitions as i64))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_ring_once() {
        let range = |start, end| Range { start, end };
        assert_eq!(ranges(&[0]), [range(i64::MIN, 0), range(0, i64::MIN)]);
        assert_eq!(ranges(&[5, -5]), [range(i64::MIN, -5), range(-5, 5), range(5, i64::MIN)]);
        assert_eq!(ranges(&[i64::MIN]), [range(i64::MIN, i64::MIN)]);
        for tokens in [&[0][..], &[5, -5], &[i64::MIN], &[i64::MAX, 3]] {
            let shares = ranges(tokens).into_iter().map(|range| range.share_of(-100, 99));
            assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9, "{tokens:?}");
        }
    }

    #[test]
    fn a_share_is_what_lies_in_the_range() {
        let range = Range { start: 0, end: 10 };
        assert_eq!(range.share_of(1, 10), 1.0);
        assert_eq!(range.share_of(-9, 10), 0.5);
        assert_eq!(range.share_of(11, 20), 0.0);
        assert_eq!(range.share_of(7, 7), 1.0);
        assert_eq!(range.share_of(0, 0), 0.0, "the start is not in it");
    }
}
