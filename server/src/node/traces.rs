//! Traces of requests that asked for one: the newest are kept in memory, for `system_traces`.
//!
//! Each has one event, the request carried out; spans of replicas come with them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use parking_lot::Mutex;
use uuid::{NoContext, Timestamp, Uuid};

use crate::system::info::TraceInfo;

/// How many are kept.
const KEPT: usize = 1_000;

/// What a trace keeps of a statement's text.
const TEXT_BYTES: usize = 4 << 10;

/// The newest traces.
#[derive(Debug, Default)]
pub(super) struct Traces {
    newest: Mutex<VecDeque<TraceInfo>>,
}

/// A request that was traced.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// The trace's id.
    pub id: Uuid,
    /// Who asked.
    pub client: IpAddr,
    /// Who answered.
    pub coordinator: SocketAddr,
    /// `QUERY`, `EXECUTE`, ...
    pub command: &'static str,
    /// The statement; empty if the request has none as text.
    pub text: &'a str,
    /// The level asked for.
    pub consistency: &'static str,
    /// When it began, in microseconds since 1970.
    pub started_us: i64,
    /// How long it took, in microseconds.
    pub duration_us: i64,
}

impl Traces {
    pub(super) fn record(&self, traced: Traced<'_>) {
        let duration_us = i32::try_from(traced.duration_us).unwrap_or(i32::MAX);
        let text = traced.text.get(..traced.text.floor_char_boundary(TEXT_BYTES));
        let event = (
            event_id(traced.started_us + traced.duration_us, traced.id),
            format!("{} carried out by the local replica", traced.command),
            duration_us,
            "tholos".to_string(),
        );
        let info = TraceInfo {
            id: traced.id,
            client: traced.client,
            coordinator: traced.coordinator,
            command: traced.command.to_string(),
            duration_us: Some(duration_us),
            parameters: vec![
                ("consistency_level".to_string(), traced.consistency.to_string()),
                ("query".to_string(), text.unwrap_or_default().to_string()),
            ],
            request: format!("Execute CQL {}", traced.command),
            started_at_ms: traced.started_us.div_euclid(1_000),
            events: vec![event],
        };
        let mut newest = self.newest.lock();
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back(info);
    }

    /// Forgets all traces, or their events alone: a trace has its events.
    pub(super) fn truncate(&self, table: &str) {
        let mut newest = self.newest.lock();
        match table {
            "events" => newest.iter_mut().for_each(|trace| trace.events.clear()),
            _ => newest.clear(),
        }
    }

    pub(super) fn all(&self) -> Vec<TraceInfo> {
        self.newest.lock().iter().cloned().collect()
    }
}

/// A time-UUID of that moment; the trace's id tells those of one moment apart.
fn event_id(micros: i64, trace: Uuid) -> Uuid {
    let seconds = u64::try_from(micros.div_euclid(1_000_000)).unwrap_or(0);
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    let [.., a, b, c, d, e, f] = *trace.as_bytes();
    Uuid::new_v1(Timestamp::from_unix(NoContext, seconds, nanos), &[a, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let traces = Traces::default();
        for number in 0..KEPT as u128 + 5 {
            traces.record(Traced {
                id: Uuid::from_u128(number),
                client: [127, 0, 0, 1].into(),
                coordinator: ([127, 0, 0, 1], 9042).into(),
                command: "QUERY",
                text: "SELECT",
                consistency: "ONE",
                started_us: 5_000_000,
                duration_us: 12,
            });
        }
        let kept = traces.all();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].id, Uuid::from_u128(5));
        let (event, _, elapsed, _) = &kept[0].events[0];
        assert_eq!((event.get_version_num(), *elapsed), (1, 12));
        assert_eq!(event.get_timestamp().unwrap().to_unix(), (5, 12_000));
        traces.truncate("events");
        let kept = traces.all();
        assert!(kept.len() == KEPT && kept.iter().all(|trace| trace.events.is_empty()));
        traces.truncate("sessions");
        assert!(traces.all().is_empty());
    }
}
