//! One node, by its inputs and effects.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::message::{Beat, Echo, MAX_BYTES, Message};
use super::state::{Digest, NodeInfo, Status, Update};
use super::{Effect, Input, Membership, Micros, TICK_INTERVAL};

fn host(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

/// Node 0 of generation 7 in a ring of three, and what it does at its start.
fn node() -> (Membership, Vec<Effect>) {
    let info = NodeInfo { status: Status::Serving, ..NodeInfo::default() };
    let mut node = Membership::new(host(0), 7, info, 0, 1);
    let effects = on(&mut node, 0, Input::Members([0, 1, 2].map(host).into()));
    (node, effects)
}

fn on(node: &mut Membership, now: Micros, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    node.on(now, input, &mut effects);
    effects
}

/// What a peer of generation 3 sends, that heard our beat of that time.
fn beat(sent: u64, heard: u64) -> Beat {
    let echo = Some(Echo { generation: 7, sent: heard });
    Beat { generation: 3, status: Status::Serving, sent, echo }
}

fn pings(effects: &[Effect]) -> Vec<Uuid> {
    let ping = |effect: &Effect| match effect {
        Effect::Send(to, Message::Ping(_)) => Some(*to),
        _ => None,
    };
    effects.iter().filter_map(ping).collect()
}

#[test]
fn new_members_are_pinged_and_all_are_sent_heartbeats() {
    let (mut node, effects) = node();
    assert_eq!(pings(&effects), [1, 2].map(host), "at once, and not itself");
    assert!(node.is_alive(host(0)) && !node.is_alive(host(1)));
    let mut beats = 0;
    for tick in 0..80 {
        let effects = on(&mut node, tick * TICK_INTERVAL, Input::Tick);
        let is_beat = |effect: &&Effect| matches!(effect, Effect::Send(_, Message::Heartbeat(_)));
        beats += effects.iter().filter(is_beat).count();
    }
    assert_eq!(beats, 80, "in 10 seconds 40 to each");
}

#[test]
fn a_ping_is_answered_once_and_members_alone_get_an_answer() {
    let (mut node, _) = node();
    let ping = || Message::Ping(beat(1, 99));
    let effects = on(&mut node, 10, Input::Received(host(1), ping()));
    let [Effect::Send(to, Message::Pong(pong))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((*to, pong.generation), (host(1), 7));
    assert_eq!(pong.echo, Some(Echo { generation: 3, sent: 1 }));
    assert_eq!(on(&mut node, 20, Input::Received(host(1), ping())), []);
    assert_eq!(on(&mut node, 30, Input::Received(host(9), ping())), []);
    assert_eq!(on(&mut node, 40, Input::Received(host(0), ping())), [], "itself");
    assert_eq!(on(&mut node, 50, Input::LinkLost(host(9))), []);
    assert_eq!(on(&mut node, 60, Input::LinkUp(host(9))), []);
}

#[test]
fn a_peer_that_comes_up_is_gossiped_with_at_once() {
    let (mut node, _) = node();
    let pong = Message::Pong(beat(1, 1));
    let effects = on(&mut node, 10, Input::Received(host(1), pong));
    assert_eq!(effects[0], Effect::Up(host(1)));
    assert!(matches!(&effects[1..], [Effect::Send(to, Message::Syn(_))] if *to == host(1)));
    let state = Update {
        host: host(2),
        generation: 4,
        version: 2,
        changed: 2,
        info: Some(NodeInfo { load_bytes: 5, ..NodeInfo::default() }),
    };
    let (updates, wanted) =
        (vec![state], vec![Digest { host: host(0), generation: 0, version: 0 }]);
    let ack = Message::Ack { updates, wanted };
    let effects = on(&mut node, 20, Input::Received(host(1), ack));
    assert_eq!(effects[0], Effect::Changed(host(2)));
    let [_, Effect::Send(_, Message::Ack2(updates))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(updates[0].host, host(0));
    assert!(!node.is_alive(host(2)), "what another says of it is no sign of life");
    let loads: Vec<_> =
        node.members().map(|member| member.state.map(|s| s.info.load_bytes)).collect();
    assert_eq!(loads, [None, Some(5)]);
}

#[test]
fn a_restart_that_is_noticed_only_when_it_is_over_is_told_all_the_same() {
    let (mut node, _) = node();
    on(&mut node, 10, Input::Received(host(1), Message::Pong(beat(1, 1))));
    let restarted = Message::Heartbeat(Beat { generation: 4, ..beat(1, 1) });
    let effects = on(&mut node, 20, Input::Received(host(1), restarted));
    assert_eq!(effects[..2], [Effect::Down(host(1)), Effect::Up(host(1))]);
}

#[test]
fn a_suspect_is_pinged_until_it_answers() {
    let (mut node, _) = node();
    on(&mut node, 10, Input::Received(host(1), Message::Pong(beat(1, 1))));
    assert!(node.phi(host(1)).is_some_and(|phi| phi < 0.1));
    assert_eq!(node.phi(host(9)), None);
    let pinged: Vec<Micros> = (1..=16)
        .map(|tick| tick * TICK_INTERVAL)
        .filter(|now| !pings(&on(&mut node, *now, Input::Tick)).is_empty())
        .collect();
    let milliseconds: Vec<Micros> = pinged.iter().map(|now| now / 1_000).collect();
    assert_eq!(milliseconds, [875, 1_125, 1_375, 1_625, 1_875]);
    let is_suspect = |node: &Membership| node.members().next().is_some_and(|one| one.is_suspect);
    assert!(is_suspect(&node) && node.is_alive(host(1)));
    assert!(node.phi(host(1)) > Some(8.0));
    on(&mut node, 2_010_000, Input::Received(host(1), Message::Pong(beat(2, 2_000_000))));
    assert!(!is_suspect(&node));
    assert!(pings(&on(&mut node, 2_125_000, Input::Tick)).is_empty());
}

fn any_beat() -> impl Strategy<Value = Beat> {
    let number = || prop_oneof![0..4_u64, any::<u64>()];
    let echo = (prop_oneof![Just(7), any::<u64>()], number());
    (number(), any::<u8>(), number(), proptest::option::of(echo)).prop_map(
        |(generation, status, sent, echo)| Beat {
            generation,
            status: Status::of_code(status % 4),
            sent,
            echo: echo.map(|(generation, sent)| Echo { generation, sent }),
        },
    )
}

fn any_input() -> impl Strategy<Value = Input> {
    let digest = (0..5_u8, any::<u64>(), any::<u64>()).prop_map(|(number, generation, version)| {
        Digest { host: host(number), generation, version }
    });
    let update =
        (digest.clone(), any::<u64>(), any::<bool>()).prop_map(|(digest, changed, whole)| {
            let Digest { host, generation, version } = digest;
            Update { host, generation, version, changed, info: whole.then(NodeInfo::default) }
        });
    let message = prop_oneof![
        any_beat().prop_map(Message::Heartbeat),
        any_beat().prop_map(Message::Ping),
        any_beat().prop_map(Message::Pong),
        vec(digest.clone(), 0..9).prop_map(Message::Syn),
        (vec(update.clone(), 0..9), vec(digest, 0..9))
            .prop_map(|(updates, wanted)| Message::Ack { updates, wanted }),
        vec(update, 0..9).prop_map(Message::Ack2),
    ];
    prop_oneof![
        2 => Just(Input::Tick),
        6 => (0..5_u8, message).prop_map(|(from, message)| Input::Received(host(from), message)),
        1 => (0..5_u8).prop_map(|number| Input::LinkUp(host(number))),
        1 => (0..5_u8).prop_map(|number| Input::LinkLost(host(number))),
        1 => proptest::collection::btree_set((0..5_u8).prop_map(host), 0..5).prop_map(Input::Members),
        1 => any::<u8>().prop_map(|status| Input::Local(NodeInfo {
            status: Status::of_code(status % 4),
            ..NodeInfo::default()
        })),
    ]
}

proptest! {
    #[test]
    fn whatever_peers_and_clocks_say_a_node_stays_sound(
        inputs in vec((prop_oneof![0..10_000_000_i64, any::<i64>()], any_input()), 0..60),
    ) {
        let (mut node, _) = node();
        let mut members: BTreeSet<Uuid> = [1, 2].map(host).into();
        let mut up: BTreeSet<Uuid> = BTreeSet::new();
        for (now, input) in inputs {
            if let Input::Members(given) = &input {
                members = given.iter().copied().filter(|member| *member != host(0)).collect();
            }
            for effect in on(&mut node, now, input) {
                match effect {
                    Effect::Up(host) => prop_assert!(up.insert(host)),
                    Effect::Down(host) => prop_assert!(up.remove(&host)),
                    Effect::Changed(host) => prop_assert!(members.contains(&host)),
                    Effect::Send(to, message) => {
                        prop_assert!(members.contains(&to));
                        let mut bytes = Vec::new();
                        message.encode(&mut bytes);
                        prop_assert!(bytes.len() <= MAX_BYTES);
                    }
                }
            }
            prop_assert!(up.is_subset(&members));
            prop_assert!(up.iter().all(|host| node.is_alive(*host)));
            let known: Vec<Uuid> = node.members().map(|member| member.host).collect();
            prop_assert!(known.iter().eq(&members));
            prop_assert!(node.members().all(|one| one.is_alive == up.contains(&one.host)));
            prop_assert!(node.members().all(|one| one.phi.is_finite()));
        }
    }
}
