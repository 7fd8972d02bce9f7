//! Many clients change one partition by what it holds: none is lost, and none waits for ever.

use std::thread;

use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::result::QueryResult;

use crate::client::{Client, Running, query};
use crate::{KEYSPACE, rows};

const CLIENTS: u16 = 8;
const ROUNDS: u16 = 20;
const IN_FLIGHT: i16 = 16;

fn start() -> (Running, Client) {
    let running = Running::start(|_| {});
    let mut client = running.client(Version::V5);
    client.effect(KEYSPACE);
    (running, client)
}

/// Each client pipelines changes and waits for their answers, round by round.
fn change_together(running: &Running, changes: &(dyn Fn(u16, i16) -> String + Sync)) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = running.client(Version::V5);
                for _ in 0..ROUNDS {
                    for stream in 0..IN_FLIGHT {
                        connection.queue(stream, &query(&changes(client, stream)));
                    }
                    connection.flush();
                    for _ in 0..IN_FLIGHT {
                        connection.answer(|_, message| match message.response {
                            Response::Result(QueryResult::Void) => {}
                            other => panic!("{other:?}"),
                        });
                    }
                }
            });
        }
    });
}

#[test]
fn increments_of_one_counter_all_count() {
    let (running, mut client) = start();
    client.effect("CREATE TABLE k.c (a int PRIMARY KEY, n counter)");
    change_together(&running, &|_, stream| {
        match stream % 2 {
        0 => "UPDATE k.c SET n = n + 1 WHERE a = 1".to_string(),
        _ => "BEGIN COUNTER BATCH UPDATE k.c SET n = n + 1 WHERE a = 1; UPDATE k.c SET n = n - 3 WHERE a = 2; APPLY BATCH".to_string(),
    }
    });
    let total = i64::from(CLIENTS) * i64::from(ROUNDS) * i64::from(IN_FLIGHT);
    let counted = client.run("SELECT n FROM k.c WHERE a IN (1, 2)", rows);
    let number = |row: &Vec<Option<Vec<u8>>>| {
        i64::from_be_bytes(row[0].as_deref().unwrap().try_into().unwrap())
    };
    assert_eq!(counted.iter().map(number).collect::<Vec<_>>(), [total, total / 2 * -3]);
}

#[test]
fn elements_set_by_index_are_all_set() {
    let (running, mut client) = start();
    client.effect("CREATE TABLE k.l (a int PRIMARY KEY, l list<int>)");
    client.effect("INSERT INTO k.l (a, l) VALUES (1, [0, 0, 0, 0, 0, 0, 0, 0])");
    change_together(&running, &|client, _| {
        format!("UPDATE k.l SET l[{client}] = {client} WHERE a = 1")
    });
    let list = client.run("SELECT l FROM k.l", rows);
    let mut expected = 8_i32.to_be_bytes().to_vec();
    for element in 0_i32..8 {
        expected.extend([4_i32, element].map(i32::to_be_bytes).as_flattened());
    }
    assert_eq!(list, [[Some(expected)]]);
}
