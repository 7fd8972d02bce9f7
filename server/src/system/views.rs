//! `system_views`, `system_traces` and `system_auth`: what goes on, what was traced, who may.

use tholos_grammar::value::{Value, timeuuid};
use tholos_storage::engine::{DamagedRange, JobStats};
use tholos_storage::sstable::KeyRange;

use super::rows::{Row, text, text_map, text_set};
use crate::system::info::{ClientInfo, RoleInfo, TraceInfo};

pub(super) fn client(info: &ClientInfo) -> Row<'static> {
    let options = info.options.iter().map(|(key, value)| (key, value));
    vec![
        ("address", Some(Value::Inet(info.address.ip()))),
        ("port", Some(Value::Int(i32::from(info.address.port())))),
        ("client_options", text_map(options)),
        ("connection_stage", text("ready")),
        ("driver_name", info.driver_name.clone().map(Value::Text)),
        ("driver_version", info.driver_version.clone().map(Value::Text)),
        ("hostname", text(info.address.ip().to_string())),
        ("keyspace_name", info.keyspace.clone().map(Value::Text)),
        ("protocol_version", Some(Value::Int(info.protocol_version))),
        ("request_count", Some(Value::Bigint(info.requests))),
        ("ssl_enabled", Some(Value::Boolean(false))),
        ("username", text(&info.username)),
    ]
}

pub(super) fn setting(name: &str, value: &str) -> Row<'static> {
    vec![("name", text(name)), ("value", text(value))]
}

/// Damage in a file. Keys are as storage has them (the token, then the components) and may be cut off; they and the
/// tokens are null if no rows are lost. The damage ends before the end key; null: at the end of the file.
pub(super) fn damaged_range(range: &DamagedRange) -> Row<'static> {
    let damage = &range.found.damage;
    let tokens = damage.keys.as_ref().map(KeyRange::tokens);
    let lower = damage.keys.as_ref().map(|keys| Value::Blob(keys.lower.clone()));
    let upper = damage.keys.as_ref().and_then(|keys| keys.upper.clone()).map(Value::Blob);
    vec![
        ("keyspace_name", text(&range.keyspace)),
        ("table_name", text(&range.table)),
        ("file", text(range.file.display().to_string())),
        ("offset", Some(Value::Bigint(i64::try_from(damage.offset).unwrap_or(i64::MAX)))),
        ("damage", text(&damage.what)),
        ("first_key", lower),
        ("first_token", tokens.map(|(first, _)| Value::Bigint(first))),
        ("found_at", Some(Value::Timestamp(range.found.found_at.div_euclid(1000)))),
        ("end_key", upper),
        ("last_token", tokens.map(|(_, last)| Value::Bigint(last))),
    ]
}

/// The two bits of a UUID's clock sequence that say whose it is.
const RFC_4122_VARIANT: u64 = 0b10 << 62;

/// A compaction, with how far it is in its inputs.
pub(super) fn sstable_task(job: &JobStats) -> Row<'static> {
    let bigint = |number: u64| Some(Value::Bigint(i64::try_from(number).unwrap_or(i64::MAX)));
    let ratio = job.done_bytes as f64 / job.total_bytes.max(1) as f64;
    // Two jobs may begin in one microsecond: their numbers tell them apart.
    let id = timeuuid::from_ticks(job.started_at.saturating_mul(10), RFC_4122_VARIANT | job.id);
    vec![
        ("keyspace_name", text(&job.keyspace)),
        ("table_name", text(&job.table)),
        ("task_id", Some(Value::Uuid(id.unwrap_or_default()))),
        ("completion_ratio", Some(Value::Double(ratio))),
        ("kind", text(job.kind.name())),
        ("progress", bigint(job.done_bytes)),
        ("sstables", Some(Value::Int(i32::try_from(job.files).unwrap_or(i32::MAX)))),
        ("total", bigint(job.total_bytes)),
        ("unit", text("bytes")),
    ]
}

pub(super) fn session(info: &TraceInfo) -> Row<'static> {
    let parameters = info.parameters.iter().map(|(key, value)| (key, value));
    vec![
        ("session_id", Some(Value::Uuid(info.id))),
        ("client", Some(Value::Inet(info.client))),
        ("command", text(&info.command)),
        ("coordinator", Some(Value::Inet(info.coordinator.ip()))),
        ("coordinator_port", Some(Value::Int(i32::from(info.coordinator.port())))),
        ("duration", info.duration_us.map(Value::Int)),
        ("parameters", text_map(parameters)),
        ("request", text(&info.request)),
        ("started_at", Some(Value::Timestamp(info.started_at_ms))),
    ]
}

pub(super) fn events(info: &TraceInfo) -> Vec<Row<'static>> {
    let event = |(id, activity, elapsed, thread): &(uuid::Uuid, String, i32, String)| {
        vec![
            ("session_id", Some(Value::Uuid(info.id))),
            ("event_id", Some(Value::Uuid(*id))),
            ("activity", text(activity)),
            ("source", Some(Value::Inet(info.coordinator.ip()))),
            ("source_elapsed", Some(Value::Int(*elapsed))),
            ("source_port", Some(Value::Int(i32::from(info.coordinator.port())))),
            ("thread", text(thread)),
        ]
    };
    info.events.iter().map(event).collect()
}

pub(super) fn role(info: &RoleInfo) -> Row<'static> {
    vec![
        ("role", text(&info.name)),
        ("can_login", Some(Value::Boolean(info.can_login))),
        ("is_superuser", Some(Value::Boolean(info.is_superuser))),
        ("member_of", text_set(&info.member_of)),
        ("salted_hash", info.salted_hash.clone().map(Value::Text)),
    ]
}

pub(super) fn members(info: &RoleInfo) -> Vec<Row<'static>> {
    let member = |of: &String| vec![("role", text(of)), ("member", text(&info.name))];
    info.member_of.iter().map(member).collect()
}
