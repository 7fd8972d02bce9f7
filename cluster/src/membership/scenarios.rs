//! What nodes together make of deaths, pauses, cuts and clocks.

use super::Micros;
use super::simulation::{CALM, MS, Network, ROUGH, SECOND, Simulation, Verdict, host};
use super::state::Status;

const SEEDS: std::ops::Range<u64> = 0..20;

/// All others took it for down, once each, no later than that after `since`, and nobody took another for down.
fn assert_convicted(simulation: &Simulation, node: usize, since: Micros, limit: Micros) {
    let downs: Vec<_> = simulation.verdicts.iter().filter(|verdict| !verdict.is_up).collect();
    assert!(downs.iter().all(|down| down.on == node), "{downs:?}");
    assert!(downs.iter().all(|down| down.at <= since + limit), "since {since}: {downs:?}");
    let mut by: Vec<usize> = downs.iter().map(|down| down.by).collect();
    by.sort_unstable();
    let running = (0..simulation.size()).filter(|other| *other != node);
    assert_eq!(by, running.collect::<Vec<_>>());
    assert!(downs.iter().all(|down| down.pings >= 3), "convicted without pings: {downs:?}");
}

#[test]
fn nodes_that_start_find_each_other() {
    for (nodes, network) in [(1, ROUGH), (3, CALM), (5, ROUGH), (30, CALM), (30, ROUGH)] {
        let mut simulation = Simulation::new(nodes, network, 1);
        // The last one starts within a second, serves 200 ms later, and loses some messages.
        simulation.run_for(3 * SECOND);
        simulation.assert_all_up();
        simulation.run_for(7 * SECOND);
        simulation.assert_states_agree();
        assert!(simulation.verdicts.iter().all(|verdict| verdict.is_up));
    }
}

#[test]
fn a_node_without_power_is_down_for_all_within_five_seconds() {
    for seed in SEEDS {
        for (nodes, network) in [(3, CALM), (5, ROUGH)] {
            let mut simulation = Simulation::settled(nodes, network, seed);
            let died = simulation.now;
            simulation.kill(1, false);
            simulation.run_for(10 * SECOND);
            assert_convicted(&simulation, 1, died, 5 * SECOND);
            let first = simulation.verdicts.iter().map(|verdict| verdict.at - died).min().unwrap();
            assert!(first > 2_200 * MS, "a pause would have been taken for death: {first}");
            simulation.assert_all_up();
        }
    }
    let mut simulation = Simulation::settled(30, ROUGH, 30);
    let died = simulation.now;
    simulation.kill(7, false);
    simulation.run_for(10 * SECOND);
    assert_convicted(&simulation, 7, died, 5 * SECOND);
}

#[test]
fn a_killed_process_is_down_for_all_within_two_seconds() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(5, ROUGH, seed);
        let died = simulation.now;
        simulation.kill(2, true);
        simulation.run_for(10 * SECOND);
        assert_convicted(&simulation, 2, died, 2 * SECOND);
    }
}

#[test]
fn a_pause_of_two_seconds_convicts_nobody() {
    for seed in SEEDS {
        for (nodes, network) in [(3, CALM), (5, ROUGH)] {
            let mut simulation = Simulation::settled(nodes, network, seed);
            for _ in 0..5 {
                let node = simulation.random.below(nodes as u64) as usize;
                simulation.pause(node, 2 * SECOND);
                simulation.run_for(7 * SECOND);
            }
            assert_eq!(simulation.verdicts, [], "seed {seed}");
        }
    }
    let mut simulation = Simulation::settled(30, ROUGH, 30);
    simulation.pause(3, 2 * SECOND);
    simulation.run_for(7 * SECOND);
    assert_eq!(simulation.verdicts, []);
}

#[test]
fn who_was_stopped_itself_convicts_nobody() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(5, ROUGH, seed);
        simulation.pause(0, 60 * SECOND);
        simulation.run_for(55 * SECOND);
        assert_convicted(&simulation, 0, simulation.now, 0);
        simulation.run_for(10 * SECOND);
        assert!(simulation.verdicts.iter().all(|verdict| verdict.by != 0), "seed {seed}");
        simulation.assert_all_up();
        // All at once, as when the machine below them stands still.
        simulation.verdicts.clear();
        (0..5).for_each(|node| simulation.pause(node, 60 * SECOND));
        simulation.run_for(70 * SECOND);
        assert_eq!(simulation.verdicts, [], "seed {seed}");
    }
}

#[test]
fn a_clock_that_jumps_convicts_nobody() {
    for offset in [-86_400 * SECOND, -SECOND, SECOND, 10 * SECOND, 86_400 * SECOND] {
        let mut simulation = Simulation::settled(3, ROUGH, 5);
        simulation.set_clock(1, offset);
        simulation.run_for(10 * SECOND);
        assert_eq!(simulation.verdicts, [], "{offset}");
        let died = simulation.now;
        simulation.kill(2, false);
        simulation.run_for(5 * SECOND);
        assert_convicted(&simulation, 2, died, 5 * SECOND);
    }
}

#[test]
fn a_way_that_is_cut_in_one_direction_is_of_no_use_in_either() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(5, ROUGH, seed);
        let cut = simulation.now;
        simulation.cut(0, 1);
        simulation.run_for(10 * SECOND);
        let mut pairs: Vec<_> = simulation.verdicts.iter().map(|v| (v.by, v.on, v.is_up)).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 1, false), (1, 0, false)]);
        assert!(simulation.verdicts.iter().all(|verdict| verdict.at <= cut + 5 * SECOND));
        // What each says of itself goes round by the others.
        simulation.tell(0, |info| info.load_bytes = 77);
        simulation.run_for(10 * SECOND);
        simulation.assert_states_agree();
        simulation.heal();
        simulation.run_for(2 * SECOND);
        simulation.assert_all_up();
    }
}

#[test]
fn both_sides_of_a_partition_see_it_and_its_end() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(5, ROUGH, seed);
        for (one, other) in [0, 1].into_iter().flat_map(|one| [2, 3, 4].map(|other| (one, other))) {
            simulation.cut(one, other);
            simulation.cut(other, one);
        }
        simulation.run_for(5 * SECOND);
        let alive = |by: usize| {
            let machine = simulation.machine(by);
            (0..5).filter(|on| machine.is_alive(host(*on)))
        };
        assert!((0..2).all(|by| alive(by).eq(0..2)));
        assert!((2..5).all(|by| alive(by).eq(2..5)));
        simulation.heal();
        simulation.run_for(2 * SECOND);
        simulation.assert_all_up();
        assert!(simulation.verdicts.iter().all(|verdict| verdict.is_up || verdict.pings >= 3));
    }
}

#[test]
fn a_restart_is_down_and_up_however_quick() {
    for seed in SEEDS {
        for (away, is_noticed) in [(MS, false), (MS, true), (300 * MS, true), (8 * SECOND, false)] {
            let mut simulation = Simulation::settled(4, ROUGH, seed);
            simulation.kill(3, is_noticed);
            simulation.run_for(away);
            let generation = simulation.now as u64;
            simulation.start(3);
            simulation.run_for(6 * SECOND);
            simulation.assert_all_up();
            for by in 0..3 {
                let on_it = simulation.verdicts_on(3).filter(|verdict| verdict.by == by);
                let ups: Vec<bool> = on_it.map(|verdict| verdict.is_up).collect();
                assert_eq!(ups, [false, true], "seed {seed}, away {away}");
            }
            assert_eq!(simulation.machine(3).own_state().generation, generation);
            simulation.run_for(10 * SECOND);
            simulation.assert_states_agree();
        }
    }
}

#[test]
fn a_node_is_up_only_while_it_serves() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(3, CALM, seed);
        simulation.network.delay = 100_000;
        // What was said first may come last.
        for status in [Status::Stopping, Status::Serving, Status::Stopping] {
            simulation.tell(0, |info| info.status = status);
        }
        simulation.run_for(110 * MS);
        assert!((1..3).all(|by| !simulation.machine(by).is_alive(host(0))), "seed {seed}");
        simulation.verdicts.clear();
        simulation.run_for(10 * SECOND);
        assert_eq!(simulation.verdicts, [], "it is heard, and does not serve");
        simulation.tell(0, |info| info.status = Status::Serving);
        simulation.run_for(110 * MS);
        simulation.assert_all_up();
    }
}

#[test]
fn a_connection_that_comes_back_convicts_nobody() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(3, ROUGH, seed);
        for _ in 0..5 {
            simulation.link(0, 1, false);
            simulation.cut(0, 1);
            simulation.cut(1, 0);
            simulation.run_for(1_200 * MS);
            simulation.heal();
            simulation.link(0, 1, true);
            simulation.run_for(5 * SECOND);
        }
        assert_eq!(simulation.verdicts, [], "seed {seed}");
    }
}

#[test]
fn a_start_that_is_older_than_what_others_remember_is_believed_again() {
    for seed in SEEDS {
        let mut simulation = Simulation::settled(3, ROUGH, seed);
        let before = simulation.machine(1).own_state().generation;
        simulation.kill(1, true);
        simulation.run_for(5 * SECOND);
        simulation.start_with_generation(1, before - 1_000);
        simulation.run_for(15 * SECOND);
        simulation.assert_all_up();
        simulation.assert_states_agree();
        assert!(simulation.machine(1).own_state().generation > before);
    }
}

#[test]
fn an_idle_ring_says_little() {
    // Bytes that each node sends in a second, at most.
    for (nodes, limit) in [(3, 500), (5, 1_100), (30, 7_000)] {
        let mut simulation = Simulation::settled(nodes, CALM, 3);
        let before: Vec<_> = (0..nodes).map(|node| simulation.sent(node)).collect();
        simulation.run_for(60 * SECOND);
        for (node, (messages, bytes)) in before.into_iter().enumerate() {
            let (all_messages, all_bytes) = simulation.sent(node);
            let (messages, bytes) = ((all_messages - messages) / 60, (all_bytes - bytes) / 60);
            assert!(bytes <= limit, "{nodes} nodes: {bytes} bytes a second");
            assert!(messages <= 4 * (nodes as u64 - 1) + 12, "{messages} messages a second");
        }
    }
}

#[test]
fn news_are_everywhere_in_a_few_rounds() {
    let mut simulation = Simulation::settled(30, CALM, 8);
    for epoch in 1..=10 {
        let node = simulation.random.below(30) as usize;
        simulation.tell(node, |info| info.epoch = epoch);
        simulation.run_for(5 * SECOND);
        simulation.assert_states_agree();
    }
}

#[test]
fn gossip_makes_nobody_a_member_and_keeps_nobody() {
    let mut simulation = Simulation::settled(4, ROUGH, 9);
    simulation.set_members(&[0, 1, 2]);
    let downs: Vec<_> = simulation.verdicts.iter().map(|v| (v.by, v.on, v.is_up)).collect();
    assert_eq!(downs, [(0, 3, false), (1, 3, false), (2, 3, false)]);
    simulation.run_for(10 * SECOND);
    assert_eq!(simulation.verdicts.len(), 6, "and node 3, which none talks to, took all for down");
    for node in 0..3 {
        let members: Vec<_> =
            simulation.machine(node).members().map(|member| member.host).collect();
        assert_eq!(members.len(), 2);
        assert!(!members.contains(&host(3)));
        assert!(!simulation.machine(node).is_alive(host(3)));
    }
    simulation.set_members(&[0, 1, 2, 3]);
    simulation.run_for(5 * SECOND);
    simulation.assert_all_up();
}

/// Faults at random; a verdict needs one of them, and all is well again some time after the last.
#[test]
fn whatever_happens_verdicts_have_reasons_and_all_are_up_at_the_end() {
    let mut faults = [0; 6];
    let mut untouched_pairs = 0;
    for seed in 0..60 {
        let network =
            Network { loss: seed % 21, twice: seed % 7, delay: 1_000 + 1_000 * (seed % 80) };
        let nodes = 3 + (seed % 4) as usize;
        let mut simulation = Simulation::settled(nodes, network, seed);
        let mut touched = Vec::new();
        for _ in 0..12 {
            let (kind, is_touched) = chaos(&mut simulation);
            faults[kind] += 1;
            touched.push(is_touched);
            let time = simulation.random.below(6 * SECOND as u64) as Micros;
            simulation.run_for(time);
        }
        simulation.heal();
        for node in 0..nodes {
            simulation.set_clock(node, 0);
            if !simulation.is_running(node) {
                simulation.start(node);
            }
        }
        simulation.run_for(20 * SECOND);
        simulation.assert_all_up();
        simulation.assert_states_agree();
        let is_touched = |by, on| {
            touched.iter().any(|touched| match *touched {
                Touched::Nobody => false,
                Touched::Node(node) => [by, on].contains(&node),
                Touched::Way(from, to) => [(from, to), (to, from)].contains(&(by, on)),
            })
        };
        let reasonless = |v: &&Verdict| !v.is_up && !is_touched(v.by, v.on);
        assert_eq!(simulation.verdicts.iter().find(reasonless), None, "seed {seed}: {touched:?}");
        let pairs = (0..nodes).flat_map(|by| (0..nodes).map(move |on| (by, on)));
        untouched_pairs += pairs.filter(|(by, on)| by != on && !is_touched(*by, *on)).count();
        let calm = simulation.verdicts.len();
        simulation.run_for(30 * SECOND);
        assert_eq!(simulation.verdicts.len(), calm, "seed {seed}: verdicts without a reason");
    }
    assert!(faults.iter().all(|times| *times > 30), "{faults:?}");
    assert!(untouched_pairs > 100, "{untouched_pairs}");
}

/// Whom a fault gives reason to take for down.
#[derive(Clone, Copy, Debug)]
enum Touched {
    Nobody,
    Node(usize),
    Way(usize, usize),
}

/// One fault: which kind it was, and whom it touched.
fn chaos(simulation: &mut Simulation) -> (usize, Touched) {
    let nodes = simulation.size() as u64;
    let node = simulation.random.below(nodes) as usize;
    let other = (node + 1 + simulation.random.below(nodes - 1) as usize) % nodes as usize;
    let kind = simulation.random.below(6) as usize;
    let touched = match kind {
        0 => {
            simulation.cut(node, other);
            Touched::Way(node, other)
        }
        1 => {
            simulation.heal();
            Touched::Nobody
        }
        2 => {
            let time = simulation.random.below(20 * SECOND as u64) as Micros;
            simulation.pause(node, time);
            Touched::Node(node)
        }
        3 => {
            let is_noticed = simulation.random.below(2) == 0;
            simulation.kill(node, is_noticed);
            Touched::Node(node)
        }
        4 if simulation.is_running(node) => {
            // It breaks, and messages go over the next one.
            simulation.link(node, other, false);
            Touched::Nobody
        }
        4 => {
            simulation.start(node);
            Touched::Node(node)
        }
        _ => {
            let offset = simulation.random.below(100 * SECOND as u64) as Micros - 50 * SECOND;
            simulation.set_clock(node, offset);
            Touched::Nobody
        }
    };
    (kind, touched)
}

#[test]
fn the_same_seed_gives_the_same_verdicts() {
    let run = |seed| {
        let mut simulation = Simulation::new(5, ROUGH, seed);
        for _ in 0..20 {
            chaos(&mut simulation);
            simulation.run_for(3 * SECOND);
        }
        (simulation.verdicts.clone(), (0..5).map(|node| simulation.sent(node)).collect::<Vec<_>>())
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}
