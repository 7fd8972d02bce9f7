//! The driver scenario with the scylla driver (protocol v4). See ../README.md.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bigdecimal::BigDecimal;
use futures::stream::{StreamExt, TryStreamExt};
use num_bigint::BigInt;
use scylla::client::Compression;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::response::PagingState;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, Statement};
use scylla::value::{CqlDate, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, MaybeUnset};
use scylla::{DeserializeValue, SerializeValue};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, PartialEq, SerializeValue, DeserializeValue)]
struct Address {
    street: Option<String>,
    number: Option<i32>,
    tags: Option<Vec<String>>,
}

fn done(step: &str) {
    println!("ok {step}");
}

async fn connect(address: &str, compression: &str) -> Result<Session, Error> {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .request_timeout(Some(Duration::from_secs(30)))
        .build();
    let builder = SessionBuilder::new()
        .known_node(address)
        .default_execution_profile_handle(profile.into_handle())
        .compression((compression == "lz4").then_some(Compression::Lz4));
    Ok(builder.build().await?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, port, version, compression] = arguments.as_slice() else {
        return Err("usage: HOST PORT VERSION COMPRESSION".into());
    };
    assert_eq!(version, "4", "this driver speaks protocol v4 only");
    let keyspace = format!("rust_v{version}_{compression}");
    let session = connect(&format!("{host}:{port}"), compression).await?;
    let state = session.get_cluster_state();
    let node = &state.get_nodes_info()[0];
    assert_eq!(
        (node.datacenter.as_deref(), node.rack.as_deref()),
        (Some("datacenter1"), Some("rack1"))
    );
    done("connect");

    schema(&session, &keyspace).await?;
    types(&session).await?;
    let mut insert_row =
        session.prepare("INSERT INTO rows (part, clust, value) VALUES (?, ?, ?)").await?;
    insert_row.set_is_idempotent(true);
    paging(&session, &insert_row).await?;
    batch(&session, &insert_row).await?;
    ttl(&session).await?;
    errors(&session).await?;
    token(&session, &keyspace).await?;
    metadata(&session, &keyspace).await?;
    restart(&session, &insert_row).await
}

async fn schema(session: &Session, keyspace: &str) -> Result<(), Error> {
    session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await?;
    let replication = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}";
    session
        .query_unpaged(format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}"), ())
        .await?;
    session.use_keyspace(keyspace, true).await?;
    for statement in [
        "CREATE TYPE address (street text, number int, tags frozen<set<text>>)",
        "CREATE TABLE types (id int PRIMARY KEY, c_ascii ascii, c_bigint bigint, c_blob blob, c_boolean boolean, \
         c_date date, c_decimal decimal, c_double double, c_duration duration, c_float float, c_inet inet, c_int int, \
         c_smallint smallint, c_text text, c_time time, c_timestamp timestamp, c_timeuuid timeuuid, c_tinyint tinyint, \
         c_uuid uuid, c_varint varint, c_list list<int>, c_set set<text>, c_map map<text, bigint>, \
         c_tuple tuple<int, text, boolean>, c_udt frozen<address>, c_live_udt address, c_vector vector<float, 3>)",
        "CREATE TABLE rows (part int, clust int, value text, shared text STATIC, PRIMARY KEY (part, clust)) \
         WITH CLUSTERING ORDER BY (clust DESC) AND comment = 'rows of the scenario'",
        "CREATE TABLE tokens (a text, b int, c bigint, PRIMARY KEY ((a, b), c))",
    ] {
        session.query_unpaged(statement, ()).await?;
    }
    session.await_schema_agreement().await?;
    done("schema");
    Ok(())
}

/// Writes a value into a column by a prepared statement and reads it back.
macro_rules! round_trip {
    ($session:expr, $column:literal, $type:ty, $value:expr) => {{
        let value: $type = $value;
        let insert = $session
            .prepare(concat!("INSERT INTO types (id, ", $column, ") VALUES (?, ?)"))
            .await?;
        $session.execute_unpaged(&insert, (1, &value)).await?;
        let select =
            $session.prepare(concat!("SELECT ", $column, " FROM types WHERE id = ?")).await?;
        let (read,) = $session
            .execute_unpaged(&select, (1,))
            .await?
            .into_rows_result()?
            .single_row::<($type,)>()?;
        assert_eq!(read, value, $column);
    }};
}

async fn types(session: &Session) -> Result<(), Error> {
    let home =
        Address { street: Some("Ring 1".into()), number: Some(7), tags: Some(vec!["home".into()]) };
    let work = Address {
        street: Some("Ring 2".into()),
        number: None,
        tags: Some(vec!["home".into(), "work".into()]),
    };
    let decimal: BigDecimal = "-12345678901234567890.123456789".parse()?;
    round_trip!(session, "c_ascii", String, "plain".into());
    round_trip!(session, "c_bigint", i64, i64::MIN);
    round_trip!(session, "c_blob", Vec<u8>, vec![0, 127, 128, 255]);
    round_trip!(session, "c_boolean", bool, true);
    round_trip!(session, "c_date", CqlDate, CqlDate((1 << 31) - 165));
    round_trip!(session, "c_decimal", BigDecimal, decimal);
    round_trip!(session, "c_double", f64, 2.718281828459045);
    round_trip!(
        session,
        "c_duration",
        CqlDuration,
        CqlDuration { months: 14, days: 3, nanoseconds: 4_000_000_005 }
    );
    round_trip!(session, "c_float", f32, 0.15625);
    round_trip!(session, "c_inet", IpAddr, "2001:db8::1".parse()?);
    round_trip!(session, "c_int", i32, i32::MIN);
    round_trip!(session, "c_smallint", i16, i16::MIN);
    round_trip!(session, "c_text", String, "Ἀθηνᾶ 🏛".into());
    round_trip!(session, "c_time", CqlTime, CqlTime(86_399_999_999_999));
    round_trip!(session, "c_timestamp", CqlTimestamp, CqlTimestamp(1_709_210_096_789));
    round_trip!(
        session,
        "c_timeuuid",
        CqlTimeuuid,
        "8e14e760-7fa8-11eb-bc66-000000000001".parse()?
    );
    round_trip!(session, "c_tinyint", i8, i8::MIN);
    round_trip!(session, "c_uuid", uuid::Uuid, uuid::Uuid::new_v4());
    round_trip!(session, "c_varint", BigInt, -BigInt::from(1_i128 << 100));
    round_trip!(session, "c_list", Vec<i32>, vec![3, 1, 2, 1]);
    round_trip!(
        session,
        "c_set",
        HashSet<String>,
        HashSet::from(["a".to_string(), "b".to_string()])
    );
    round_trip!(session, "c_map", BTreeMap<String, i64>, BTreeMap::from([("x".to_string(), 1), ("y".to_string(), -2)]));
    round_trip!(session, "c_tuple", (i32, Option<String>, bool), (7, None, false));
    round_trip!(session, "c_udt", Address, home);
    round_trip!(session, "c_live_udt", Address, work);
    round_trip!(session, "c_vector", Vec<f32>, vec![1.0, -0.5, 0.25]);

    let insert = session.prepare("INSERT INTO types (id, c_text, c_int) VALUES (?, ?, ?)").await?;
    session.execute_unpaged(&insert, (1, None::<String>, MaybeUnset::<i32>::Unset)).await?;
    session.execute_unpaged(&insert, (2, None::<String>, None::<i32>)).await?;
    let select = session.prepare("SELECT c_text, c_int FROM types WHERE id = ?").await?;
    let read = async |id: i32| -> Result<(Option<String>, Option<i32>), Error> {
        Ok(session.execute_unpaged(&select, (id,)).await?.into_rows_result()?.single_row()?)
    };
    assert_eq!(read(1).await?, (None, Some(i32::MIN)));
    assert_eq!(read(2).await?, (None, None));
    done("types");
    Ok(())
}

async fn paging(session: &Session, insert_row: &PreparedStatement) -> Result<(), Error> {
    futures::stream::iter(0..10_000)
        .map(|i| async move {
            session.execute_unpaged(insert_row, (i % 7, i, format!("value {i}"))).await.map(drop)
        })
        .buffer_unordered(128)
        .try_collect::<()>()
        .await?;
    let select = Statement::new("SELECT clust FROM rows").with_page_size(777);
    let rows: Vec<(i32,)> =
        session.query_iter(select, ()).await?.rows_stream::<(i32,)>()?.try_collect().await?;
    assert_eq!(rows.len(), 10_000);
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), 10_000);

    let select = Statement::new("SELECT clust FROM rows WHERE part = 3").with_page_size(100);
    let (first, next) = session.query_single_page(select.clone(), (), PagingState::start()).await?;
    let first: Vec<(i32,)> = first.into_rows_result()?.rows()?.collect::<Result<_, _>>()?;
    let state = match next.into_paging_control_flow() {
        std::ops::ControlFlow::Continue(state) => state,
        std::ops::ControlFlow::Break(()) => return Err("the first page says it is the last".into()),
    };
    let (second, _) = session.query_single_page(select, (), state).await?;
    let (clust,) = second.into_rows_result()?.first_row::<(i32,)>()?;
    assert_eq!((first.len(), clust), (100, first[99].0 - 7));
    done("paging");
    Ok(())
}

async fn batch(session: &Session, insert_row: &PreparedStatement) -> Result<(), Error> {
    let update = session.prepare("UPDATE rows SET shared = ? WHERE part = ?").await?;
    let mut logged = Batch::new(BatchType::Logged);
    logged.append_statement(insert_row.clone());
    logged.append_statement(insert_row.clone());
    logged.append_statement(update);
    session.batch(&logged, ((100, 0, "batched"), (100, 1, "batched"), ("static", 100))).await?;
    let mut unlogged = Batch::new(BatchType::Unlogged);
    unlogged.append_statement(insert_row.clone());
    session.batch(&unlogged, ((100, 2, "batched"),)).await?;
    let rows = session
        .query_unpaged("SELECT clust, shared FROM rows WHERE part = 100", ())
        .await?
        .into_rows_result()?;
    let rows: Vec<(i32, String)> = rows.rows()?.collect::<Result<_, _>>()?;
    assert_eq!(rows, [2, 1, 0].map(|clust| (clust, "static".to_string())));
    done("batch");
    Ok(())
}

async fn ttl(session: &Session) -> Result<(), Error> {
    session
        .query_unpaged(
            "INSERT INTO rows (part, clust, value) VALUES (200, 1, 'short') USING TTL 2",
            (),
        )
        .await?;
    let (left,) = session
        .query_unpaged("SELECT ttl(value) FROM rows WHERE part = 200", ())
        .await?
        .into_rows_result()?
        .single_row::<(i32,)>()?;
    assert!(left > 0 && left <= 2, "ttl {left}");
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let rows = session
        .query_unpaged("SELECT * FROM rows WHERE part = 200", ())
        .await?
        .into_rows_result()?;
    assert_eq!(rows.rows_num(), 0, "after the TTL");
    done("ttl");
    Ok(())
}

async fn errors(session: &Session) -> Result<(), Error> {
    let fails = async |cql: &str| match session.query_unpaged(cql, ()).await {
        Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, message))) => {
            Ok((error, message))
        }
        Err(other) => Err(format!("{cql}: {other}")),
        Ok(_) => Err(format!("{cql} did not fail")),
    };
    let (error, message) = fails("SELEC * FROM rows").await?;
    assert!(error == DbError::SyntaxError && message.contains("line 1"), "{error:?} {message}");
    let (error, message) = fails("SELECT * FROM nothere").await?;
    assert!(error == DbError::Invalid && message.contains("nothere"), "{error:?} {message}");
    let (error, message) = fails("SELECT * FROM rows WHERE value = 'x'").await?;
    assert!(
        error == DbError::Invalid && message.contains("ALLOW FILTERING"),
        "{error:?} {message}"
    );
    let (error, _) = fails("CREATE TABLE rows (a int PRIMARY KEY)").await?;
    assert!(matches!(&error, DbError::AlreadyExists { table, .. } if table == "rows"), "{error:?}");
    done("errors");
    Ok(())
}

async fn token(session: &Session, keyspace: &str) -> Result<(), Error> {
    let insert = session.prepare("INSERT INTO tokens (a, b, c) VALUES (?, ?, ?)").await?;
    let select = session.prepare("SELECT token(a, b) FROM tokens WHERE a = ? AND b = ?").await?;
    for i in 0..100_i32 {
        let key = (format!("{}{i}", "käse".repeat(i as usize % 5)), i * -7919);
        session.execute_unpaged(&insert, (&key.0, key.1, i64::from(i))).await?;
        let expected = insert.calculate_token(&(&key.0, key.1, i64::from(i)))?.ok_or("no token")?;
        let (served,) = session
            .execute_unpaged(&select, (&key.0, key.1))
            .await?
            .into_rows_result()?
            .single_row::<(i64,)>()?;
        assert_eq!(served, expected.value(), "token of {key:?}");
        let replicas =
            session.get_cluster_state().get_token_endpoints(keyspace, "tokens", expected);
        assert_eq!(replicas.len(), 1);
    }
    done("token");
    Ok(())
}

async fn metadata(session: &Session, keyspace: &str) -> Result<(), Error> {
    session.query_unpaged("ALTER TABLE rows ADD extra map<int, text>", ()).await?;
    session.refresh_metadata().await?;
    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace(keyspace).ok_or("no keyspace")?;
    let table = keyspace.tables.get("rows").ok_or("no table")?;
    assert_eq!(table.partition_key, ["part"]);
    assert_eq!(table.clustering_key, ["clust"]);
    assert!(table.columns.contains_key("extra") && table.columns.contains_key("shared"));
    assert!(keyspace.user_defined_types.contains_key("address"));
    done("metadata");
    Ok(())
}

async fn restart(session: &Session, insert_row: &PreparedStatement) -> Result<(), Error> {
    println!("RESTART");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = session.execute_unpaged(insert_row, (300, 1, "after restart")).await {
        if Instant::now() > deadline {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let count = session
        .query_unpaged("SELECT count(*) FROM rows WHERE part = 3", ())
        .await?
        .into_rows_result()?;
    assert_eq!(count.single_row::<(i64,)>()?, (1_429,), "what was there before");
    done("restart");
    Ok(())
}
