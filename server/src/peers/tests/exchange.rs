//! What nodes say to each other comes, in order, in few writes, and again after one was away.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_on_one_connection_comes_in_order_both_ways() {
    let (one, two) = (Peer::start(1), Peer::start(2));
    connected(&one, &two).await;
    let texts: Vec<Bytes> = (0..500_u32)
        .map(|number| match number % 100 {
            // Some that are compressed, some that are written by themselves.
            7 => Bytes::from(vec![number as u8; 10_000]),
            8 => (0..200_000_u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect(),
            _ => Bytes::copy_from_slice(&number.to_be_bytes()),
        })
        .collect();
    for text in &texts {
        for class in Class::ALL {
            assert_eq!(one.send(&two, class, text), Ok(()));
            assert_eq!(two.send(&one, class, text), Ok(()));
        }
    }
    for class in Class::ALL {
        eventually("all came", || two.messages(&one, class).len() == texts.len()).await;
        eventually("all came back", || one.messages(&two, class).len() == texts.len()).await;
        assert!(two.messages(&one, class) == texts && one.messages(&two, class) == texts);
        let (sent, received) = (one.figures(&two, class), two.figures(&one, class));
        assert_eq!(get(&received.messages_received), 500);
        eventually("every byte is counted on both sides", || {
            get(&sent.bytes_sent) == get(&received.bytes_received)
        })
        .await;
    }
}

#[tokio::test]
async fn what_gathers_leaves_in_one_write() {
    let quiet = |options: &mut PeerOptions| options.times.sign_of_life = Duration::from_secs(600);
    let one = Peer::start_with(1, free_port(), quiet);
    let two = Peer::start_with(2, free_port(), quiet);
    connected(&one, &two).await;
    let figures = one.figures(&two, Class::Normal);
    // The first turn of the watch gives a sign of life.
    eventually("it did", || get(&figures.writes) == 1).await;
    for _ in 0..1000 {
        assert_eq!(one.send(&two, Class::Normal, b"a small message"), Ok(()));
    }
    eventually("all came", || two.messages(&one, Class::Normal).len() == 1000).await;
    assert_eq!((get(&figures.messages_sent), get(&figures.writes)), (1001, 2));
}

#[tokio::test]
async fn a_node_that_comes_back_is_connected_again() {
    let one = Peer::start(1);
    let listener = free_port();
    let again = listener.try_clone().unwrap();
    let two = Peer::start_with(2, listener, |_| ());
    connected(&one, &two).await;
    two.peers.close().await;
    let lost = |peer: &Peer| {
        let heard = peer.heard();
        Class::ALL.iter().all(|class| heard.contains(&Heard::Lost(Uuid::from_u128(2), *class)))
    };
    eventually("it is told", || lost(&one)).await;
    let two = Peer::start_with(2, again, |options| options.identity.generation = 2);
    eventually("they are connected again", || one.is_connected(&two)).await;
    for class in Class::ALL {
        assert_eq!(one.send(&two, class, b"welcome back"), Ok(()));
        eventually("it came", || two.messages(&one, class) == [&b"welcome back"[..]]).await;
        let of_class = |heard: &Heard| match heard {
            Heard::Up(_, of) | Heard::Lost(_, of) | Heard::Message(_, of, ..) => *of == class,
        };
        let heard: Vec<Heard> = one.heard().into_iter().filter(of_class).collect();
        let up = Heard::Up(two.id, class);
        assert_eq!(heard, [up.clone(), Heard::Lost(two.id, class), up]);
    }
}

#[tokio::test]
async fn nodes_that_connect_to_each_other_at_once_keep_one_connection() {
    for round in 0..20 {
        let (one, two) = (Peer::start(1), Peer::start(2));
        one.connect(&two);
        two.connect(&one);
        eventually("they are connected", || one.is_connected(&two) && two.is_connected(&one)).await;
        // What is sent while one takes the other's place may be lost; in the end nothing is.
        for class in Class::ALL {
            let text = [round; 3];
            eventually("both hear each other", || {
                let _ = (one.send(&two, class, &text), two.send(&one, class, &text));
                let both = [one.messages(&two, class), two.messages(&one, class)];
                both.iter().all(|messages| messages.len() > 5)
            })
            .await;
        }
        let up = |peer: &Peer| peer.heard().iter().filter(|h| matches!(h, Heard::Up(..))).count();
        assert!(up(&one) <= 6 && up(&two) <= 6, "{:?} {:?}", up(&one), up(&two));
    }
}

#[tokio::test]
async fn what_waits_when_a_node_stops_is_sent_first() {
    let (one, two) = (Peer::start(1), Peer::start(2));
    connected(&one, &two).await;
    for _ in 0..100 {
        assert_eq!(one.send(&two, Class::Normal, b"good-bye"), Ok(()));
    }
    one.peers.close().await;
    let one = Peer::start(1);
    eventually("all came", || two.messages(&one, Class::Normal).len() == 100).await;
}

#[tokio::test]
async fn idle_connections_stay() {
    let quick = |options: &mut PeerOptions| options.times.sign_of_life = Duration::from_millis(5);
    let one = Peer::start_with(1, free_port(), quick);
    let two = Peer::start_with(2, free_port(), quick);
    connected(&one, &two).await;
    for (peer, other) in [(&one, &two), (&two, &one)] {
        let figures = peer.figures(other, Class::Bulk);
        eventually("signs of life", || get(&figures.messages_sent) > 20).await;
        assert_eq!((get(&figures.connections), get(&figures.messages_received)), (1, 0));
    }
}

#[tokio::test]
async fn a_node_among_its_own_seeds_is_left_out() {
    let (one, two) = (Peer::start(1), Peer::start(2));
    one.connect(&one);
    connected(&one, &two).await;
    let others = [(two.address.to_string(), None)];
    eventually("only the other one is left", || one.peers.troubles() == others).await;
    assert!(one.peers.links().iter().all(|link| link.host == two.id));
}

#[tokio::test]
async fn a_node_that_left_is_not_connected_again() {
    let (one, two) = (Peer::start(1), Peer::start(2));
    connected(&one, &two).await;
    one.peers.forget(&two.address.to_string());
    one.peers.disconnect(two.id);
    eventually("there is none", || !one.is_connected(&two) && !two.is_connected(&one)).await;
    assert_eq!(one.send(&two, Class::Normal, b"x"), Err(NotSent::NotConnected(two.id)));
    assert_eq!(one.peers.troubles(), []);
}
