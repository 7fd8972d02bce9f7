"""The driver scenario with the Python cassandra-driver. See ../README.md."""

import datetime
import decimal
import ipaddress
import sys
import time
import uuid

from cassandra import ConsistencyLevel, InvalidRequest, AlreadyExists, ProtocolVersion
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.metadata import Murmur3Token
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy, ConstantReconnectionPolicy
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement, UNSET_VALUE, dict_factory, tuple_factory
from cassandra.util import Date, Duration, Time

host, port, version, compression = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
keyspace = f"python_v{version}_{compression}"


def check(actual, expected, what):
    assert actual == expected, f"{what}: got {actual!r}, expected {expected!r}"


def done(step):
    print(f"ok {step}", flush=True)


profile = ExecutionProfile(
    load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc="datacenter1")),
    consistency_level=ConsistencyLevel.QUORUM,
    request_timeout=30,
)
cluster = Cluster(
    [host],
    port=port,
    protocol_version=version,
    compression="lz4" if compression == "lz4" else False,
    execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    reconnection_policy=ConstantReconnectionPolicy(0.2, max_attempts=None),
)
session = cluster.connect()
check(cluster.protocol_version, version, "protocol version")
node = cluster.metadata.all_hosts()[0]
check((node.datacenter, node.rack), ("datacenter1", "rack1"), "data center and rack")
assert node.release_version[0] >= "4", node.release_version
done("connect")

session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
session.execute(
    f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}}"
)
session.set_keyspace(keyspace)
session.execute("CREATE TYPE address (street text, number int, tags frozen<set<text>>)")
TYPES = [
    ("ascii", "ascii", "plain"),
    ("bigint", "bigint", -(2**63)),
    ("blob", "blob", bytes(range(256))),
    ("boolean", "boolean", True),
    ("date", "date", Date(datetime.date(1969, 7, 20))),
    ("decimal", "decimal", decimal.Decimal("-12345678901234567890.123456789")),
    ("double", "double", 2.718281828459045),
    ("duration", "duration", Duration(14, -3 * 0 + 3, 4_000_000_005)),
    ("float", "float", 0.15625),
    ("inet", "inet", "2001:db8::1"),
    ("int", "int", -(2**31)),
    ("smallint", "smallint", -32768),
    ("text", "text", "Ἀθηνᾶ 🏛"),
    ("time", "time", Time(86_399_999_999_999)),
    ("timestamp", "timestamp", datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)),
    ("timeuuid", "timeuuid", uuid.uuid1()),
    ("tinyint", "tinyint", -128),
    ("uuid", "uuid", uuid.uuid4()),
    ("varint", "varint", -(2**100)),
    ("list", "list<int>", [3, 1, 2, 1]),
    ("set", "set<text>", {"b", "a"}),
    ("map", "map<text, bigint>", {"x": 1, "y": -2}),
    ("frozen_list", "frozen<list<frozen<map<int, text>>>>", [{1: "one"}, {}]),
    ("tuple", "tuple<int, text, boolean>", (7, None, False)),
    ("udt", "frozen<address>", None),
    ("live_udt", "address", None),
    ("vector", "vector<float, 3>", [1.0, -0.5, 0.25]),
]
columns = ", ".join(f"c_{name} {cql}" for name, cql, _ in TYPES)
session.execute(f"CREATE TABLE types (id int PRIMARY KEY, {columns})")
session.execute(
    "CREATE TABLE rows (part int, clust int, value text, shared text STATIC, PRIMARY KEY (part, clust)) "
    "WITH CLUSTERING ORDER BY (clust DESC) AND comment = 'rows of the scenario' AND gc_grace_seconds = 3600"
)
session.execute("CREATE TABLE tokens (a text, b int, c bigint, PRIMARY KEY ((a, b), c))")
done("schema")


class Address:
    def __init__(self, street, number, tags):
        self.street, self.number, self.tags = street, number, tags

    def __eq__(self, other):
        return (self.street, self.number, set(self.tags or ())) == (other.street, other.number, set(other.tags or ()))

    def __repr__(self):
        return f"Address({self.street!r}, {self.number!r}, {self.tags!r})"


cluster.register_user_type(keyspace, "address", Address)
values = {name: value for name, _, value in TYPES}
values["udt"] = Address("Ring 1", 7, {"home"})
values["live_udt"] = Address("Ring 2", None, {"work", "home"})
names = [name for name, _, _ in TYPES]
insert = session.prepare(
    f"INSERT INTO types (id, {', '.join('c_' + n for n in names)}) VALUES (?{', ?' * len(names)})"
)
select = session.prepare("SELECT * FROM types WHERE id = ?")
session.execute(insert, [1] + [values[n] for n in names])
row = session.execute(select, [1]).one()._asdict()
for n in names:
    got = row["c_" + n]
    if n == "udt" or n == "live_udt":
        check(got, values[n], n)
    elif n == "inet":
        check(ipaddress.ip_address(got), ipaddress.ip_address(values[n]), n)
    elif n == "set":
        check(set(got), values[n], n)
    elif n in ("map",):
        check(dict(got), values[n], n)
    elif n == "frozen_list":
        check([dict(x) for x in got], values[n], n)
    elif n == "vector" or n == "list":
        check(list(got), values[n], n)
    else:
        check(got, values[n], n)
session.execute(insert, [2] + [None for n in names])
row = session.execute(select, [2]).one()._asdict()
assert all(row["c_" + n] is None for n in names), row
session.execute(insert, [1] + [UNSET_VALUE] * len(names))
row = session.execute(select, [1]).one()
check((row.c_text, row.c_int), (values["text"], values["int"]), "UNSET")
session.execute(insert, [1, None] + [UNSET_VALUE] * (len(names) - 1))
row = session.execute(select, [1]).one()
check((row.c_ascii, row.c_int), (None, values["int"]), "null beside UNSET")
done("types")

insert_row = session.prepare("INSERT INTO rows (part, clust, value) VALUES (:part, :clust, :value)")
pending = []
for i in range(10_000):
    pending.append(session.execute_async(insert_row, {"part": i % 7, "clust": i, "value": f"value {i}"}))
    if len(pending) >= 256:
        for future in pending:
            future.result()
        pending = []
for future in pending:
    future.result()
statement = SimpleStatement("SELECT part, clust, value FROM rows", fetch_size=777)
seen = [(r.part, r.clust) for r in session.execute(statement)]
check(len(seen), 10_000, "rows over pages")
check(sorted(c for _, c in seen), list(range(10_000)), "every row once")
result = session.execute(SimpleStatement("SELECT clust FROM rows WHERE part = 3", fetch_size=100))
check(len(result.current_rows), 100, "first page")
state = result.paging_state
again = session.execute(SimpleStatement("SELECT clust FROM rows WHERE part = 3", fetch_size=100), paging_state=state)
expected = [i for i in range(9_999, -1, -1) if i % 7 == 3]
check([r.clust for r in result.current_rows], expected[:100], "page one, descending")
check([r.clust for r in again.current_rows], expected[100:200], "page two by its state")
done("paging")

for kind in (BatchType.LOGGED, BatchType.UNLOGGED):
    batch = BatchStatement(batch_type=kind)
    for i in range(5):
        batch.add(insert_row, (100 + kind.value, i, "batched"))
    batch.add(SimpleStatement("UPDATE rows SET shared = %s WHERE part = %s"), ("static", 100 + kind.value))
    session.execute(batch)
    rows = list(session.execute("SELECT clust, value, shared FROM rows WHERE part = %s", (100 + kind.value,)))
    check([(r.clust, r.value, r.shared) for r in rows], [(i, "batched", "static") for i in (4, 3, 2, 1, 0)], str(kind))
session.execute(BatchStatement())
done("batch")

session.execute("INSERT INTO rows (part, clust, value) VALUES (200, 1, 'short') USING TTL 2")
row = session.execute("SELECT value, ttl(value) AS left, writetime(value) AS at FROM rows WHERE part = 200").one()
assert row.value == "short" and 0 < row.left <= 2, row
assert abs(row.at / 1e6 - time.time()) < 60, row
time.sleep(2.2)
check(list(session.execute("SELECT * FROM rows WHERE part = 200")), [], "after the TTL")
done("ttl")


def raises(exception, cql):
    try:
        session.execute(cql)
    except exception as error:
        return str(error)
    raise AssertionError(f"{cql!r} did not raise {exception.__name__}")


assert "line 1" in raises(SyntaxException, "SELEC * FROM rows")
assert "nothere" in raises(InvalidRequest, "SELECT * FROM nothere")
assert "nocolumn" in raises(InvalidRequest, "SELECT nocolumn FROM rows")
raises(AlreadyExists, f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
raises(AlreadyExists, "CREATE TABLE rows (a int PRIMARY KEY)")
assert "ALLOW FILTERING" in raises(InvalidRequest, "SELECT * FROM rows WHERE value = 'x'")
done("errors")

insert_token = session.prepare("INSERT INTO tokens (a, b, c) VALUES (?, ?, ?)")
select_token = session.prepare("SELECT token(a, b) AS t FROM tokens WHERE a = ? AND b = ?")
token_map = cluster.metadata.token_map
for i in range(100):
    key = ("käse" * (i % 5) + str(i), i * -7919)
    bound = insert_token.bind((key[0], key[1], i))
    session.execute(bound)
    token = Murmur3Token.from_key(bound.routing_key).value
    server = session.execute(select_token, key).one().t
    check(server, token, f"token of {key}")
    check([h.address for h in token_map.get_replicas(keyspace, Murmur3Token(token))], [node.address], "replica")
done("token")

meta = cluster.metadata.keyspaces[keyspace]
check(meta.replication_strategy.export_for_schema(), "{'class': 'NetworkTopologyStrategy', 'datacenter1': '1'}", "replication")
table = meta.tables["rows"]
check([c.name for c in table.partition_key], ["part"], "partition key")
check([(c.name, c.is_reversed) for c in table.clustering_key], [("clust", True)], "clustering")
check(table.columns["shared"].is_static, True, "static")
check(table.options["comment"], "rows of the scenario", "comment")
check(int(table.options["gc_grace_seconds"]), 3600, "gc_grace_seconds")
check(table.is_compact_storage, False, "not compact")
check(meta.tables["types"].columns["c_frozen_list"].cql_type, "frozen<list<frozen<map<int, text>>>>", "type")
check(meta.user_types["address"].field_names, ["street", "number", "tags"], "user type")
assert "CREATE TABLE" in table.export_as_string()
session.execute("ALTER TABLE rows ADD extra map<int, text>")
check(cluster.metadata.keyspaces[keyspace].tables["rows"].columns["extra"].cql_type, "map<int, text>", "after ALTER")
done("metadata")

print("RESTART", flush=True)
sys.stdin.readline()
deadline = time.time() + 30
while True:
    try:
        session.execute(insert_row, (300, 1, "after restart"))
        break
    except Exception:
        if time.time() > deadline:
            raise
        time.sleep(0.1)
check(session.execute("SELECT value FROM rows WHERE part = 300").one().value, "after restart", "written after restart")
check(session.execute("SELECT count(*) FROM rows WHERE part = 3").one()[0], len(expected), "what was there before")
done("restart")
cluster.shutdown()
