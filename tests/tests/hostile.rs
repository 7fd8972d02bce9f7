//! Clients that send much and read nothing: the process stays within its memory, and serves the others.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tholos_tests::server::{Server, Start};

const MIB: usize = 1 << 20;
/// What all clients together may have of requests and answers.
const BUDGET_MIB: usize = 48;
/// What the process may take beside: code, caches, memtables, buffers of threads.
const BESIDE_MIB: usize = 160;

const ERROR: u8 = 0x00;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;

struct Site {
    _dir: tempfile::TempDir,
    server: Server,
}

fn start(frame_timeout_ms: u64) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tholos.toml");
    let text = format!(
        "[memory]\nrequests_mib = {BUDGET_MIB}\nmemtable_mib = 32\nblock_cache_mib = 32\n\
         [limits]\nframe_timeout_ms = {frame_timeout_ms}\n[commit_log]\nmode = \"periodic\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["--config", &config.to_string_lossy()];
    let data: &Path = &dir.path().join("data");
    let server = Start { arguments: &arguments, ..Start::new(data) }.run().unwrap();
    Site { _dir: dir, server }
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_nodelay(true).unwrap();
    let startup = b"\x04\0\0\0\x01\0\0\0\x16\0\x01\0\x0bCQL_VERSION\0\x053.0.0";
    stream.write_all(startup).unwrap();
    assert_eq!(answer(&mut stream).0, 0x02, "READY");
    stream
}

fn header(opcode: u8, stream: i16, length: usize) -> Vec<u8> {
    let mut header = vec![4, 0];
    header.extend_from_slice(&stream.to_be_bytes());
    header.push(opcode);
    header.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    header
}

/// A QUERY at ONE, without pages.
fn query(stream: i16, text: &str) -> Vec<u8> {
    let mut frame = header(QUERY, stream, 4 + text.len() + 3);
    frame.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame.extend_from_slice(&[0, 1, 0]);
    frame
}

/// Opcode and length of the next answer.
fn answer(stream: &mut TcpStream) -> (u8, usize) {
    let mut header = [0; 9];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes(header[5..9].try_into().unwrap()) as usize;
    let taken = std::io::copy(&mut stream.take(length as u64), &mut std::io::sink()).unwrap();
    assert_eq!(taken, length as u64);
    (header[4], length)
}

fn run(stream: &mut TcpStream, text: &str) {
    stream.write_all(&query(1, text)).unwrap();
    assert_eq!(answer(stream).0, RESULT, "{}", &text[..text.len().min(80)]);
}

fn schema(site: &Site) -> TcpStream {
    let mut client = connect(site.server.address);
    run(
        &mut client,
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    run(&mut client, "CREATE TABLE k.t (a int PRIMARY KEY, v text)");
    client
}

fn assert_bounded(server: &Server) {
    let peak = server.peak_kib() as usize >> 10;
    assert!(peak <= BUDGET_MIB + BESIDE_MIB, "{peak} MiB were resident");
}

fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(120);
    while !happened() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends all of it, or as much as the server takes until it closes the connection; then waits for that.
fn sends(address: SocketAddr, frame: Vec<u8>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = connect(address);
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        // The server may be done with it at any time.
        let _ = stream.write_all(&frame);
        match stream.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("an unfinished frame is answered by nothing: {other:?}"),
        }
    })
}

#[test]
fn answers_that_nobody_reads_are_within_the_budget() {
    const READS: i16 = 60;
    let site = start(10_000);
    let mut other = schema(&site);
    let value = "x".repeat(60_000);
    for a in 0..140 {
        run(&mut other, &format!("INSERT INTO k.t (a, v) VALUES ({a}, '{value}')"));
    }
    let mut greedy = connect(site.server.address);
    for stream in 0..READS {
        greedy.write_all(&query(stream, "SELECT * FROM k.t")).unwrap();
    }
    until("answers are made", || {
        site.server.metric("tholos_request_memory_bytes").unwrap() > 4.0 * MIB as f64
    });
    for a in 0..100 {
        run(&mut other, &format!("SELECT * FROM k.t WHERE a = {a}"));
    }
    assert_bounded(&site.server);
    // Whoever begins to read gets all that was asked for.
    for _ in 0..READS {
        let (opcode, length) = answer(&mut greedy);
        assert!(opcode == RESULT && length > 140 * value.len(), "{opcode} {length}");
    }
    assert_bounded(&site.server);
    site.server.stop().unwrap();
}

#[test]
fn frames_that_are_not_finished_are_within_the_budget_and_end() {
    const FRAME: usize = 20 * MIB;
    let site = start(300);
    let mut other = schema(&site);
    let mut frame = header(QUERY, 1, FRAME);
    frame.resize(FRAME * 9 / 10, b' ');
    let senders: Vec<_> = (0..12).map(|_| sends(site.server.address, frame.clone())).collect();
    while !senders.iter().all(JoinHandle::is_finished) {
        run(&mut other, "SELECT * FROM k.t WHERE a = 1");
        assert_bounded(&site.server);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(site.server.metric("tholos_unfinished_frames_total"), Ok(12.0));
    assert_eq!(site.server.metric("tholos_request_memory_bytes"), Ok(0.0));
    site.server.stop().unwrap();
}

#[test]
fn the_first_bytes_of_many_frames_are_within_the_budget() {
    const CONNECTIONS: usize = 400;
    let site = start(60_000);
    let mut other = schema(&site);
    // Each would hold 1 MiB once it is whole, and 512 KiB of it are on their way.
    let mut begun = header(QUERY, 1, MIB);
    begun.resize(MIB / 2, b' ');
    let clients: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let stream = connect(site.server.address);
            stream.set_nonblocking(true).unwrap();
            // What the server does not take stays with the client.
            let _ = (&stream).write(&begun);
            stream
        })
        .collect();
    until("frames wait for memory", || {
        site.server.metric("tholos_request_memory_shortages_total").unwrap() > 0.0
    });
    for a in 0..100 {
        run(&mut other, &format!("INSERT INTO k.t (a, v) VALUES ({a}, 'x')"));
        run(&mut other, &format!("SELECT * FROM k.t WHERE a = {a}"));
    }
    assert_bounded(&site.server);
    drop(clients);
    until("memory is given back", || site.server.metric("tholos_request_memory_bytes") == Ok(0.0));
    site.server.stop().unwrap();
}

#[test]
fn a_length_of_two_gigabytes_is_refused_before_anything_is_set_aside() {
    let site = start(10_000);
    let _schema = schema(&site);
    for _ in 0..100 {
        let mut client = connect(site.server.address);
        client.write_all(&header(QUERY, 1, i32::MAX as usize)).unwrap();
        assert_eq!(answer(&mut client).0, ERROR);
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed");
    }
    assert_bounded(&site.server);
    site.server.stop().unwrap();
}
