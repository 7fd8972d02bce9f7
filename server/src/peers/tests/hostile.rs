//! What comes may be anything, and who it is sent to may do anything.

use std::io;

use bytes::BytesMut;
use tholos_cluster::message::frame;
use tholos_cluster::message::hello::Greeting;
use tholos_cluster::message::{Request, RequestId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A connection that greeted as node 9, and does what the test does.
async fn stranger(to: &Peer) -> TcpStream {
    let mut stream = TcpStream::connect(to.address).await.unwrap();
    let node = identity(9, "127.0.0.1:1".parse().unwrap());
    let hello = Greeting::Hello { class: Class::Normal, node };
    stream.write_all(&hello.encode()).await.unwrap();
    let mut received = BytesMut::new();
    loop {
        if let Some((greeting, len)) = Greeting::decode(&received).unwrap() {
            assert!(matches!(greeting, Greeting::Welcome { version: 1, .. }), "{greeting:?}");
            let _ = received.split_to(len);
            return stream;
        }
        assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
    }
}

/// Whether the other side closed it, whatever it had sent before.
async fn is_closed(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

const STRANGER: Uuid = Uuid::from_u128(9);

#[tokio::test]
async fn what_is_no_greeting_is_closed_and_nobody_is_told() {
    let peer = Peer::start(1);
    let hello = Greeting::Hello { class: Class::Normal, node: identity(9, peer.address) }.encode();
    let mut damaged = hello.to_vec();
    damaged[30] ^= 1;
    let mut welcome = Greeting::Welcome { version: 1, node: identity(9, peer.address) }.encode();
    for (place, bytes) in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[4, 0, 0, 0, 5, 0, 0, 0, 0],
        &[0x16, 3, 1, 2, 0],
        &damaged,
        &welcome.split_off(0),
        &[&hello[..8], &[0xff; 8]].concat(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = TcpStream::connect(peer.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        // Closed in the middle of what it sent: with an error, or without.
        let _ = is_closed(&mut stream).await;
        let told = &peer.peers.accepted().no_greeting;
        eventually("it is counted", || get(told) == place as u64 + 1).await;
    }
    assert!(peer.heard().is_empty());
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_too_many_of_them_at_once() {
    let peer = Peer::start_with(1, free_port(), |options| {
        options.times.greeting = Duration::from_millis(300);
    });
    let mut silent = Vec::new();
    for _ in 0..140 {
        silent.push(TcpStream::connect(peer.address).await.unwrap());
    }
    let figures = peer.peers.accepted();
    eventually("some are too many", || get(&figures.too_many) > 0).await;
    for stream in &mut silent {
        let _ = is_closed(stream).await;
    }
    eventually("all are over", || get(&figures.too_many) + get(&figures.no_greeting) == 140).await;
    stranger(&peer).await;
}

#[tokio::test]
async fn garbage_after_the_greeting_ends_that_connection_alone() {
    let (one, two) = (Peer::start(1), Peer::start(2));
    connected(&one, &two).await;
    let good = frame::encode(9, |out| codec::encode(&message(b"good"), out)).unwrap();
    let no_message = frame::encode(9, |out| out.extend_from_slice(b"\xffwhat")).unwrap();
    let mut damaged = good.to_vec();
    damaged[frame::HEADER] ^= 1;
    let garbage = [&b"once upon a time there was"[..], &no_message, &damaged, &[0xff; 100]];
    for (place, bytes) in garbage.into_iter().enumerate() {
        let mut stream = stranger(&one).await;
        stream.write_all(&[&good, bytes].concat()).await.unwrap();
        let _ = is_closed(&mut stream).await;
        let of = |wanted: fn(&Heard) -> bool| one.heard().iter().filter(|h| wanted(h)).count();
        eventually("it is lost", || of(|h| matches!(h, Heard::Lost(STRANGER, _))) == place + 1)
            .await;
        // What came before the garbage was whole.
        assert_eq!(of(|h| matches!(h, Heard::Message(STRANGER, ..))), place + 1);
    }
    assert_eq!(two.send(&one, Class::Normal, b"still here"), Ok(()));
    eventually("the others go on", || one.messages(&two, Class::Normal).len() == 1).await;
}

#[tokio::test]
async fn who_does_not_read_fills_its_outbox_and_no_more() {
    let bounds = Bounds { bytes: 1 << 20, messages: 1000 };
    let peer = Peer::start_with(1, free_port(), |options| options.bounds = [bounds; 3]);
    let mut slow = stranger(&peer).await;
    let random: Vec<u8> = (0..30_000_u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
    let (large, mut sent) = (message(&random), 0);
    let send = || peer.peers.try_send(STRANGER, &mut Outgoing::new(9, Class::Normal, &large));
    let mut refusals = 0;
    // What the system keeps between the two is limited as well: in the end it is full for good.
    while refusals < 50 {
        match send() {
            Ok(()) => (sent, refusals) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error, NotSent::Full(STRANGER));
                refusals += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        assert!(sent < 10_000, "it is never full");
    }
    let links = peer.peers.links();
    let link = links.iter().find(|link| link.class == Class::Normal).unwrap();
    assert!(link.queued <= bounds.bytes, "{link:?}");
    assert!(get(&link.figures.refused_full) >= 50);
    // A request that waits behind it all, and for which nobody waits when its turn comes.
    let request = Message::Request {
        id: RequestId { operation: 1, part: 0 },
        time_left: 0,
        request: Request::Write([].into()),
    };
    let late = peer.peers.try_send(STRANGER, &mut Outgoing::new(9, Class::Normal, &request));
    assert_eq!(late, Ok(()));
    // It reads at last: everything that was taken comes, and there is room again.
    let (mut buffer, mut came) = (BytesMut::new(), 0);
    while came < sent {
        assert_ne!(slow.read_buf(&mut buffer).await.unwrap(), 0);
        while let frame::Decoded::Whole(frame, len) = frame::decode(&buffer).unwrap() {
            came += usize::from(frame.message.is_some());
            let _ = buffer.split_to(len);
        }
    }
    assert_eq!(send(), Ok(()));
    assert_eq!(get(&link.figures.expired), 1);
}

#[tokio::test]
async fn a_connection_that_brings_nothing_is_over() {
    let peer = Peer::start_with(1, free_port(), |options| {
        options.times.sign_of_life = Duration::from_millis(5);
    });
    let mut silent = stranger(&peer).await;
    eventually("it is lost", || peer.heard().contains(&Heard::Lost(STRANGER, Class::Normal))).await;
    let _ = is_closed(&mut silent).await;
    let lost = peer.peers.try_send(STRANGER, &mut Outgoing::new(9, Class::Normal, &message(b"x")));
    assert_eq!(lost, Err(NotSent::NotConnected(STRANGER)));
}

#[tokio::test]
async fn a_new_connection_of_a_node_takes_the_place_of_its_old_one() {
    let peer = Peer::start(1);
    let mut old = stranger(&peer).await;
    let mut new = stranger(&peer).await;
    is_closed(&mut old).await.unwrap();
    let text = message(b"to the new one");
    let sent = peer.peers.try_send(STRANGER, &mut Outgoing::new(9, Class::Normal, &text));
    assert_eq!(sent, Ok(()));
    let mut buffer = BytesMut::new();
    while !buffer.windows(3).any(|three| three == b"new") {
        assert_ne!(new.read_buf(&mut buffer).await.unwrap(), 0);
    }
    // It was never without one.
    let up = Heard::Up(STRANGER, Class::Normal);
    assert_eq!(peer.heard(), [up.clone(), up]);
}
