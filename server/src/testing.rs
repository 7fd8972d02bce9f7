//! One node's statements without a node: text in, rows out, on an engine in memory. For tests of this crate.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tholos_cluster::message::Message;
use tholos_cluster::metadata::ClusterMetadata;
use tholos_cluster::ring::{Node, Ring, Weight};
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::response::metadata::{ColumnSpec as WireColumn, EncodedColumns};
use tholos_grammar::protocol::response::rows_writer::RowsWriter;
use tholos_grammar::token::Token;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::decode_result;
use tholos_storage::engine::{
    BackgroundDriver, Clock, Engine, EngineOptions, SsTableStats, TableSettings, TableStats,
};
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::read::live::ReadBudget;
use tholos_storage::schema::{Schema, SchemaChange};
use uuid::Uuid;

use crate::clock::{Deadline, SystemWall, Wall};
use crate::error::QueryError;
use crate::execute::locks::PartitionLocks;
use crate::execute::modify::Modified;
use crate::execute::select::fetched::Fetched;
use crate::execute::select::{PageBudget, Round, select_within};
use crate::execute::tombstones::TombstoneRead;
use crate::execute::{ExecuteContext, RequestWatch, modify};
use crate::halt::Halt;
use crate::network::{Alone, Network};
use crate::node::table_settings;
use crate::query::catalogue::Catalogue;
use crate::query::context::PlanContext;
use crate::query::ddl::{self, DdlContext};
use crate::query::functions::Random;
use crate::query::plan::{Plan, Planned};
use crate::query::planner::plan;
use crate::query::select::plan::SelectPlan;
use crate::query::values::{Bound, BoundValues, RequestOptions, RequestTime};
use crate::system::info::{ClientInfo, LocalInfo, PeerInfo, PreparedInfo, SystemTables};
use crate::system::schema::{stored_schema, system_schema};

/// A node's worth of tables.
pub(crate) struct Bench {
    engine: Engine,
    pub(crate) network: Arc<dyn Network>,
    locks: Arc<PartitionLocks>,
    pub(crate) cluster: ClusterMetadata,
    pub(crate) catalogue: Catalogue,
    keyspace: Name,
    /// Seconds since 1970.
    pub(crate) now: Arc<AtomicI64>,
    tables: AtomicU64,
    /// Reads that walk over more tombstones are noted.
    pub(crate) tombstone_threshold: u64,
    /// The last one that did.
    pub(crate) over_threshold: Mutex<Option<TombstoneRead>>,
}

/// A page of a result: text of the values (`null` for null), names and types of the columns.
#[derive(Debug, PartialEq)]
pub(crate) struct Rows {
    pub(crate) names: Vec<String>,
    pub(crate) types: Vec<CqlType>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) paging_state: Option<Vec<u8>>,
}

/// What time it is for the storage engine: as for requests.
struct BenchClock(Arc<AtomicI64>);

impl Clock for BenchClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed) * 1_000_000
    }
}

/// Counts instead of choosing: equal runs are equal.
pub(crate) struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Others can be reached; what is sent to them is lost.
struct Reaching;

impl Network for Reaching {
    fn reaches(&self, _: Uuid) -> bool {
        true
    }

    fn send(&self, _: Uuid, _: Message) -> bool {
        true
    }

    fn keeps_hints(&self) -> bool {
        false
    }

    fn hint(&self, _: Uuid, _: &Arc<[Mutation]>) {}
}

impl Bench {
    /// A node with an empty keyspace `ks`, in use.
    pub(crate) fn new() -> Self {
        let mut options = EngineOptions::new(Path::new("/data"));
        options.background = BackgroundDriver::Caller;
        let now = Arc::new(AtomicI64::new(1_000_000));
        let clock = Arc::new(BenchClock(Arc::clone(&now)));
        let stored = table_settings(&stored_schema());
        let engine = Engine::open(Arc::new(MemoryFs::new()), clock, options, stored).unwrap();
        let node = Node {
            host_id: Uuid::from_u128(1),
            address: ([127, 0, 0, 1], 7000).into(),
            data_center: "dc1".to_string(),
            rack: "rack1".to_string(),
            weight: Weight::ONE,
            tokens: vec![Token(0)],
        };
        let ring = Arc::new(Ring::new(vec![node]).unwrap());
        let system = Arc::new(system_schema());
        let catalogue = Catalogue::new(Arc::new(Schema::default()), system);
        let mut bench = Bench {
            engine,
            network: Arc::new(Alone),
            locks: Arc::default(),
            cluster: ClusterMetadata::new(ring, 0, Arc::default()).unwrap(),
            catalogue,
            keyspace: Name::exact("ks"),
            now,
            tables: AtomicU64::new(1),
            tombstone_threshold: 0,
            over_threshold: Mutex::default(),
        };
        bench.run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
        bench
    }

    /// From now on the first node of that ring, all of whose nodes have all of the keyspace and can be reached.
    pub(crate) fn join(&mut self, ring: Arc<Ring>, factor: usize) {
        self.run(&format!("ALTER KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"));
        let schema = Arc::clone(&self.catalogue.schema);
        self.cluster = ClusterMetadata::new(ring, 0, schema).unwrap();
        self.network = Arc::new(Reaching);
    }

    /// The storage engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Plans a statement.
    pub(crate) fn plan(&self, cql: &str) -> Result<Planned, QueryError> {
        let statement = tholos_parser::parse_statement(cql)
            .map_err(|error| QueryError::Syntax(error.to_string()))?;
        plan(
            statement,
            PlanContext {
                catalogue: &self.catalogue,
                keyspace: Some(&self.keyspace),
                effort: None,
            },
        )
    }

    /// Runs statements that give no rows, separated by `;`.
    pub(crate) fn run(&mut self, script: &str) {
        for cql in script.split(';').map(str::trim).filter(|cql| !cql.is_empty()) {
            self.try_run(cql).unwrap_or_else(|error| panic!("{cql}: {error}"));
        }
    }

    /// Why a statement that gives no rows is refused.
    pub(crate) fn refusal(&mut self, cql: &str) -> String {
        let refused = self.try_run(cql).err().unwrap_or_else(|| panic!("{cql}: accepted"));
        refused.to_string()
    }

    /// Runs a statement that gives no rows.
    pub(crate) fn try_run(&mut self, cql: &str) -> Result<(), QueryError> {
        let planned = self.plan(cql)?;
        let effect = match &planned.plan {
            Plan::Schema(statement) => {
                let id = self.tables.fetch_add(1, Ordering::Relaxed);
                let context = DdlContext {
                    plan: PlanContext {
                        catalogue: &self.catalogue,
                        keyspace: Some(&self.keyspace),
                        effort: None,
                    },
                    data_centers: &[],
                    table_id: Uuid::from_u64_pair(7, id),
                    now: self.now.load(Ordering::Relaxed) * 1_000_000,
                };
                ddl::effect(statement, &context)?
            }
            Plan::Modify(plan) => {
                return self
                    .with(&[], None, None, |cx| modify::modify(cx, plan, None))
                    .map(is_written)
                    .map_err(Halt::refused);
            }
            Plan::Batch(plan) => {
                return self
                    .with(&[], None, None, |cx| modify::batch(cx, plan, None))
                    .map(is_written)
                    .map_err(Halt::refused);
            }
            other => panic!("not for tests: {other:?}"),
        };
        for change in effect.changes {
            if let SchemaChange::PutTable(table) = &change {
                let engine = &self.engine;
                let settings = TableSettings::from_schema(table, true);
                engine.create_table(settings.clone()).unwrap();
                engine.alter_table(settings).unwrap();
            }
            let schema = self.catalogue.schema.apply(&change).unwrap();
            self.catalogue = self.catalogue.after(Arc::new(schema), &[change]);
        }
        Ok(())
    }

    /// What a request would have at hand.
    pub(crate) fn with<T>(
        &self,
        values: &[Bound<'_>],
        page_size: Option<i32>,
        paging_state: Option<&[u8]>,
        run: impl FnOnce(&ExecuteContext<'_>) -> T,
    ) -> T {
        let options = RequestOptions {
            consistency: Consistency::One,
            serial_consistency: Consistency::Serial,
            page_size,
            paging_state,
            timestamp: None,
            now_in_seconds: None,
            skip_metadata: false,
        };
        let seconds = self.now.load(Ordering::Relaxed);
        let values: BoundValues<'_> = values.iter().copied().collect();
        let watch = RequestWatch {
            tombstone_threshold: self.tombstone_threshold,
            ..RequestWatch::default()
        };
        let result = run(&ExecuteContext {
            engine: &self.engine,
            network: &*self.network,
            locks: &self.locks,
            cluster: &self.cluster,
            catalogue: &self.catalogue,
            system: self,
            time: RequestTime { micros: seconds * 1_000_000, seconds },
            options: &options,
            values: &values,
            random: &Counting(AtomicU64::new(1)),
            deadline: Deadline::new(&SystemWall, SystemWall.instant() + Duration::from_secs(60)),
            watch: &watch,
        });
        if let Some(read) = watch.over_threshold.take() {
            *self.over_threshold.lock() = Some(read);
        }
        result
    }

    /// One page of a SELECT.
    pub(crate) fn page(
        &self,
        planned: &Planned,
        values: &[Bound<'_>],
        page_size: Option<i32>,
        paging_state: Option<&[u8]>,
        budget: impl Into<PageBudget>,
    ) -> Result<Rows, QueryError> {
        let budget = budget.into();
        Self::shown(planned, |plan, out, writer| {
            self.with(values, page_size, paging_state, |cx| {
                let (nothing, level) = (Fetched::new(0), Consistency::One);
                let nothing = (&nothing, None);
                let round = select_within(cx, plan, level, budget, nothing, out, writer);
                match round.map_err(Halt::refused)? {
                    Round::Done(state) => Ok(state),
                    Round::Needs(commands, _) => panic!("{commands:?}"),
                }
            })
        })
    }

    /// The page that `run` writes, as a client sees it.
    pub(crate) fn shown(
        planned: &Planned,
        run: impl FnOnce(
            &SelectPlan,
            &mut Vec<u8>,
            &mut RowsWriter,
        ) -> Result<Option<Vec<u8>>, QueryError>,
    ) -> Result<Rows, QueryError> {
        let Plan::Select(plan) = &planned.plan else { panic!("not a SELECT") };
        let wire: Vec<WireColumn> = plan
            .columns
            .iter()
            .map(|column| WireColumn {
                keyspace: column.keyspace.clone(),
                table: column.table.clone(),
                name: column.name.clone(),
                column_type: column.cql_type.clone(),
            })
            .collect();
        let mut out = Vec::new();
        let mut writer =
            RowsWriter::begin(&mut out, Version::V5, &EncodedColumns::new(&wire), true, None);
        let start = out.len();
        let state = run(plan, &mut out, &mut writer)?;
        let types: Vec<CqlType> = plan.columns.iter().map(|c| c.cql_type.clone()).collect();
        let mut rest = &out[start..];
        let rows: Vec<_> = (0..writer.rows()).map(|_| row(&mut rest, &types)).collect();
        assert!(rest.is_empty(), "bytes after the last row");
        let names = plan.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Rows { names, types, rows, paging_state: state })
    }

    /// All rows of a SELECT, unpaged: their values' text, `null` for null.
    pub(crate) fn select(&self, cql: &str) -> Vec<Vec<String>> {
        self.try_select(cql).unwrap_or_else(|error| panic!("{cql}: {error}")).rows
    }

    /// As [`Bench::select`], with names and errors.
    pub(crate) fn try_select(&self, cql: &str) -> Result<Rows, QueryError> {
        self.page(&self.plan(cql)?, &[], None, None, ReadBudget::UNLIMITED)
    }

    /// All rows of a SELECT, page by page.
    pub(crate) fn paged(
        &self,
        cql: &str,
        page_size: i32,
        budget: impl Into<PageBudget>,
    ) -> Vec<Vec<String>> {
        let budget = budget.into();
        let planned = self.plan(cql).unwrap_or_else(|error| panic!("{cql}: {error}"));
        let mut rows = Vec::new();
        let mut state: Option<Vec<u8>> = None;
        for _ in 0..10_000 {
            let page = self.page(&planned, &[], Some(page_size), state.as_deref(), budget);
            let page = page.unwrap_or_else(|error| panic!("{cql}: {error}"));
            assert!(page.rows.len() <= page_size as usize, "{cql}: a page of {}", page.rows.len());
            rows.extend(page.rows);
            state = page.paging_state;
            if state.is_none() {
                return rows;
            }
        }
        panic!("{cql}: pages without end");
    }

    /// Rows as lines, for comparing at a glance.
    pub(crate) fn show(&self, cql: &str) -> String {
        let rows: Vec<String> = self.select(cql).iter().map(|row| row.join(" ")).collect();
        rows.join("; ")
    }

    /// The error of a statement.
    pub(crate) fn error(&self, cql: &str) -> String {
        match self.try_select(cql) {
            Ok(rows) => panic!("{cql}: gave {rows:?}"),
            Err(error) => error.to_string(),
        }
    }
}

/// This node alone has a say in whatever a bench writes.
fn is_written(modified: Modified) {
    match modified {
        Modified::Written(written) => assert!(written.replicated.is_empty()),
        Modified::Needs(reads, _) => panic!("{reads:?}"),
    }
}

fn row(rest: &mut &[u8], types: &[CqlType]) -> Vec<String> {
    types
        .iter()
        .map(|ty| {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            *rest = after;
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                return "null".to_string();
            };
            let (bytes, after) = rest.split_at(length);
            *rest = after;
            decode_result(ty, bytes).unwrap_or_else(|error| panic!("{ty}: {error}")).text(ty)
        })
        .collect()
}

impl SystemTables for Bench {
    fn local(&self) -> LocalInfo {
        LocalInfo {
            cluster_name: "Bench".to_string(),
            host_id: Uuid::from_u128(1),
            data_center: "dc1".to_string(),
            rack: "rack1".to_string(),
            listen_address: ([127, 0, 0, 1], 7000).into(),
            broadcast_address: ([127, 0, 0, 1], 7000).into(),
            rpc_address: ([127, 0, 0, 1], 9042).into(),
            tokens: vec![-5, 5],
            generation: 1,
        }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        vec![PeerInfo {
            host_id: Uuid::from_u128(2),
            data_center: "dc1".to_string(),
            rack: "rack2".to_string(),
            address: ([127, 0, 0, 2], 7000).into(),
            native_address: ([127, 0, 0, 2], 9042).into(),
            release_version: "5.0.0".to_string(),
            schema_version: Uuid::from_u128(3),
            tokens: vec![0],
        }]
    }

    fn clients(&self) -> Vec<ClientInfo> {
        vec![ClientInfo {
            address: ([10, 0, 0, 1], 5555).into(),
            driver_name: Some("driver".to_string()),
            driver_version: None,
            options: vec![("CQL_VERSION".to_string(), "3.0.0".to_string())],
            protocol_version: 5,
            keyspace: None,
            username: "anonymous".to_string(),
            requests: 3,
        }]
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("cluster_name".to_string(), "Bench".to_string())]
    }

    fn prepared_statements(&self) -> Vec<PreparedInfo> {
        Vec::new()
    }

    fn tables(&self) -> Vec<TableStats> {
        self.engine().stats().tables
    }

    fn sstables(&self) -> Vec<SsTableStats> {
        self.engine().sstables()
    }
}
