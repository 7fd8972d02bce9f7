//! Clients that send too much, too slowly, or what takes too long: others are served meanwhile.

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::time::{Duration, Instant};

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::compression::{Compression, compress_body};
use tholos_grammar::protocol::header::{Direction, Flags, Header, Opcode, Version};
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::batch::{Batch, BatchKind, BatchStatement, StatementRef};
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::ErrorKind;
use tholos_grammar::protocol::values::Values;

use crate::client::{Client, Running, query};
use crate::schema;

/// Waits for what is bound to happen.
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether an answer, or part of one, is there.
fn has_answer(client: &Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let there = client.stream.peek(&mut [0]).is_ok();
    client.stream.set_nonblocking(false).unwrap();
    there
}

/// Sends a request that takes long, and asks something else on another connection while it is at work.
fn others_are_served_beside(threads: usize, send: impl FnOnce(&mut Client) -> u64) {
    let running = Running::start_with(true, threads, |config| config.memory.requests_mib = 1024);
    schema(&running);
    let mut other = running.client(Version::V4);
    let mut long = running.client_with(Version::V4, Some(Compression::Lz4));
    let received = &running.node.metrics().received_bytes;
    let before = received.load(std::sync::atomic::Ordering::Relaxed);
    let bytes = send(&mut long);
    until("all of it is read", || {
        received.load(std::sync::atomic::Ordering::Relaxed) >= before + bytes
    });
    for _ in 0..3 {
        other.effect("SELECT * FROM k.t WHERE a = 1");
        assert!(!has_answer(&long), "the others had to wait for the long request");
    }
    long.answer(|_, _| ());
}

fn text_batch(statements: usize, blanks: usize) -> Vec<u8> {
    let text = &format!("INSERT INTO k.t (a, b) VALUES (1, 2){}", " ".repeat(blanks));
    let statement =
        || BatchStatement { statement: StatementRef::Text(text), values: Values::EMPTY };
    let batch = Batch {
        kind: BatchKind::Unlogged,
        statements: (0..statements).map(|_| statement()).collect(),
        consistency: Consistency::One,
        serial_consistency: None,
        timestamp: None,
        keyspace: None,
        now_in_seconds: None,
    };
    let mut body = Vec::new();
    Request::Batch(batch).encode(&mut body, Version::V4);
    body
}

fn frame(opcode: Opcode, flags: Flags, body: &[u8]) -> Vec<u8> {
    let (version, direction) = (Version::V4, Direction::Request);
    let mut bytes = Vec::new();
    Header { version, direction, flags, stream: 7, opcode, length: body.len() }.encode(&mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

fn send(client: &mut Client, bytes: &[u8]) -> u64 {
    client.stream.write_all(bytes).unwrap();
    bytes.len() as u64
}

#[test]
fn others_are_served_beside_a_batch_of_65000_texts() {
    for (threads, statements) in [(1, 65_000), (2, 20_000)] {
        others_are_served_beside(threads, |client| {
            send(client, &frame(Opcode::Batch, Flags::default(), &text_batch(statements, 0)))
        });
    }
}

#[test]
fn others_are_served_beside_a_very_long_text() {
    others_are_served_beside(1, |client| {
        let mut body = Vec::new();
        query(&format!("SELECT {}", "''".repeat(2 << 20))).encode(&mut body, Version::V4);
        send(client, &frame(Opcode::Query, Flags::default(), &body))
    });
}

#[test]
fn others_are_served_beside_a_body_that_unpacks_to_200_times_itself() {
    others_are_served_beside(1, |client| {
        let mut body = Vec::new();
        query(&format!("SELECT {}", " ".repeat(100 << 20))).encode(&mut body, Version::V4);
        let mut packed = Vec::new();
        compress_body(&body, &mut packed);
        assert!(packed.len() < 1 << 20);
        send(client, &frame(Opcode::Query, Flags::COMPRESSION, &packed))
    });
}

#[test]
fn false_lengths_of_large_bodies_are_told_and_concern_their_request_alone() {
    let running = Running::start(|_| {});
    let mut client = running.client_with(Version::V4, Some(Compression::Lz4));
    let mut packed = Vec::new();
    compress_body(&vec![b' '; 4 << 20], &mut packed);
    for announced in [(4 << 20) - 1_u32, (4 << 20) + 1] {
        packed[..4].copy_from_slice(&announced.to_be_bytes());
        send(&mut client, &frame(Opcode::Query, Flags::COMPRESSION, &packed));
        client.answer(|stream, message| {
            let Response::Error(error) = message.response else { panic!("{message:?}") };
            assert_eq!((stream, error.kind), (7, ErrorKind::Protocol));
        });
    }
    client.effect("SELECT release_version FROM system.local");
}

#[test]
fn a_frame_that_does_not_come_is_given_up_and_idle_clients_stay() {
    let running = Running::start(|config| config.limits.frame_timeout_ms = 100);
    schema(&running);
    let mut idle = running.client(Version::V4);
    for version in [Version::V4, Version::V5] {
        for length in [9_usize, 100, 100_000, 10_000_000] {
            let mut slow = running.client(version);
            let mut body = Vec::new();
            query(&" ".repeat(length)).encode(&mut body, Version::V4);
            let bytes = frame(Opcode::Query, Flags::default(), &body);
            match version {
                // Half of it.
                Version::V4 => slow.stream.write_all(&bytes[..bytes.len() / 2]).unwrap(),
                Version::V5 => {
                    slow.queue(1, &query(&" ".repeat(length)));
                    slow.flush_half();
                }
            }
            assert!(slow.is_closed(), "{version:?} {length}");
        }
    }
    idle.effect("SELECT * FROM k.t");
    let given_up = &running.node.metrics().unfinished_frames;
    assert_eq!(given_up.load(std::sync::atomic::Ordering::Relaxed), 8);
}

#[test]
fn a_request_larger_than_one_client_can_have_is_refused_by_its_header() {
    let running = Running::start(|config| config.memory.requests_mib = 8);
    let mut client = running.client(Version::V4);
    let mut bytes = frame(Opcode::Query, Flags::default(), &[]);
    bytes[5..9].copy_from_slice(&(4_u32 << 20).to_be_bytes());
    send(&mut client, &bytes);
    client.answer(|_, message| {
        let Response::Error(error) = message.response else { panic!("{message:?}") };
        assert_eq!(error.kind, ErrorKind::Protocol);
    });
    assert!(client.is_closed());
}

#[test]
fn large_requests_wait_for_memory_and_are_all_answered() {
    let running = Running::start(|config| {
        config.memory.requests_mib = 8;
        config.limits.frame_timeout_ms = 120_000;
        config.limits.request_timeout_ms = 120_000;
    });
    schema(&running);
    let body = text_batch(1_000, 2_000);
    assert!(body.len() > 2_000_000);
    let bytes = frame(Opcode::Batch, Flags::default(), &body);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = running.client(Version::V4);
                send(&mut client, &bytes);
                client.answer(|stream, message| {
                    assert_eq!(stream, 7);
                    assert!(matches!(message.response, Response::Result(_)), "{message:?}");
                });
            });
        }
    });
    until("all memory is given back", || {
        let text = metrics(&running);
        text.lines().any(|line| line == "tholos_request_memory_bytes 0")
    });
}

#[test]
fn unpaged_reads_that_do_not_fit_beside_each_other_are_done_one_by_one() {
    let running = Running::start(|config| config.memory.requests_mib = 16);
    schema(&running);
    let mut client = running.client(Version::V5);
    client.effect("CREATE TABLE k.large (a int PRIMARY KEY, v text)");
    let value = "x".repeat(60_000);
    for a in 0..100 {
        client.effect(&format!("INSERT INTO k.large (a, v) VALUES ({a}, '{value}')"));
    }
    // Each is 6 MB, and takes as much again while it is put into segments; one client may have 8 MiB.
    client.fails_with_no_memory("SELECT * FROM k.large");
    for stream in 0..10 {
        client.queue(stream, &query("SELECT * FROM k.large WHERE token(a) < 0"));
    }
    client.flush();
    let mut answered: Vec<i16> = (0..10)
        .map(|_| {
            client.answer(|stream, message| {
                assert!(matches!(message.response, Response::Result(_)), "{stream}: {message:?}");
                stream
            })
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..10).collect::<Vec<i16>>());
}

#[test]
fn one_value_named_often_is_no_longer_than_an_answer_may_be() {
    let running = Running::start(|config| config.memory.requests_mib = 16);
    schema(&running);
    let mut client = running.client(Version::V4);
    client.effect("CREATE TABLE k.large (a int PRIMARY KEY, v text)");
    client.effect(&format!("INSERT INTO k.large (a, v) VALUES (1, '{}')", "x".repeat(400_000)));
    client.fails_with_no_memory(&format!("SELECT v{} FROM k.large WHERE a = 1", ", v".repeat(999)));
}

#[test]
fn use_takes_effect_although_its_text_is_large() {
    let running = Running::start(|_| {});
    schema(&running);
    let mut client = running.client(Version::V4);
    client.effect(&format!("USE{}k", " ".repeat(100_000)));
    client.effect("SELECT * FROM t");
}

fn metrics(running: &Running) -> String {
    let mut stream = std::net::TcpStream::connect(running.admin.unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        Err(error) if error.kind() != IoErrorKind::ConnectionReset => panic!("{error}"),
        _ => text,
    }
}
