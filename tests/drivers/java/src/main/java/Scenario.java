import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.CqlSessionBuilder;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchType;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.BoundStatementBuilder;
import com.datastax.oss.driver.api.core.cql.PagingState;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.ResultSet;
import com.datastax.oss.driver.api.core.cql.Row;
import com.datastax.oss.driver.api.core.cql.SimpleStatement;
import com.datastax.oss.driver.api.core.data.CqlDuration;
import com.datastax.oss.driver.api.core.data.CqlVector;
import com.datastax.oss.driver.api.core.data.TupleValue;
import com.datastax.oss.driver.api.core.data.UdtValue;
import com.datastax.oss.driver.api.core.metadata.Metadata;
import com.datastax.oss.driver.api.core.metadata.Node;
import com.datastax.oss.driver.api.core.metadata.schema.ClusteringOrder;
import com.datastax.oss.driver.api.core.metadata.schema.TableMetadata;
import com.datastax.oss.driver.api.core.metadata.token.Token;
import com.datastax.oss.driver.api.core.servererrors.AlreadyExistsException;
import com.datastax.oss.driver.api.core.servererrors.InvalidQueryException;
import com.datastax.oss.driver.api.core.servererrors.SyntaxError;
import com.datastax.oss.driver.api.core.type.DataTypes;
import com.datastax.oss.driver.api.core.type.TupleType;
import com.datastax.oss.driver.api.core.type.UserDefinedType;
import com.datastax.oss.driver.api.core.uuid.Uuids;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletionStage;

/** The driver scenario with the Java driver (protocol v4 and v5). See ../README.md. */
public final class Scenario {
  private static String host;
  private static int port;
  private static int version;
  private static String compression;

  public static void main(String[] arguments) throws Exception {
    host = arguments[0];
    port = Integer.parseInt(arguments[1]);
    version = Integer.parseInt(arguments[2]);
    compression = arguments[3];
    String keyspace = "java_v" + version + "_" + compression;
    try (CqlSession setup = builder().build()) {
      check(setup.getContext().getProtocolVersion().getCode(), version, "protocol version");
      Node node = setup.getMetadata().getNodes().values().iterator().next();
      check(node.getDatacenter() + "/" + node.getRack(), "datacenter1/rack1", "data center and rack");
      done("connect");
      setup.execute("DROP KEYSPACE IF EXISTS " + keyspace);
      setup.execute("CREATE KEYSPACE " + keyspace
          + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    }
    try (CqlSession session = builder().withKeyspace(keyspace).build()) {
      schema(session);
      types(session, keyspace);
      PreparedStatement insertRow = session.prepare("INSERT INTO rows (part, clust, value) VALUES (:part, :clust, :value)");
      paging(session, insertRow);
      batch(session, insertRow);
      ttl(session);
      errors(session);
      token(session, keyspace);
      metadata(session, keyspace);
      restart(session, insertRow);
    }
  }

  private static CqlSessionBuilder builder() {
    DriverConfigLoader config = DriverConfigLoader.programmaticBuilder()
        .withString(DefaultDriverOption.PROTOCOL_VERSION, "V" + version)
        .withString(DefaultDriverOption.PROTOCOL_COMPRESSION, compression)
        .withString(DefaultDriverOption.REQUEST_CONSISTENCY, "QUORUM")
        .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(30))
        .withDuration(DefaultDriverOption.CONNECTION_INIT_QUERY_TIMEOUT, Duration.ofSeconds(10))
        .withDuration(DefaultDriverOption.CONTROL_CONNECTION_TIMEOUT, Duration.ofSeconds(10))
        .withDuration(DefaultDriverOption.RECONNECTION_BASE_DELAY, Duration.ofMillis(100))
        .withDuration(DefaultDriverOption.RECONNECTION_MAX_DELAY, Duration.ofMillis(500))
        .build();
    return CqlSession.builder()
        .addContactPoint(new InetSocketAddress(host, port))
        .withLocalDatacenter("datacenter1")
        .withConfigLoader(config);
  }

  private static void check(Object actual, Object expected, String what) {
    if (!Objects.equals(actual, expected)) {
      throw new AssertionError(what + ": got " + actual + ", expected " + expected);
    }
  }

  private static void done(String step) {
    System.out.println("ok " + step);
  }

  private static void schema(CqlSession session) {
    session.execute("CREATE TYPE address (street text, number int, tags frozen<set<text>>)");
    session.execute("CREATE TABLE types (id int PRIMARY KEY, c_ascii ascii, c_bigint bigint, c_blob blob,"
        + " c_boolean boolean, c_date date, c_decimal decimal, c_double double, c_duration duration, c_float float,"
        + " c_inet inet, c_int int, c_smallint smallint, c_text text, c_time time, c_timestamp timestamp,"
        + " c_timeuuid timeuuid, c_tinyint tinyint, c_uuid uuid, c_varint varint, c_list list<int>, c_set set<text>,"
        + " c_map map<text, bigint>, c_tuple tuple<int, text, boolean>, c_udt frozen<address>, c_live_udt address,"
        + " c_vector vector<float, 3>)");
    session.execute("CREATE TABLE rows (part int, clust int, value text, shared text STATIC, PRIMARY KEY (part, clust))"
        + " WITH CLUSTERING ORDER BY (clust DESC) AND comment = 'rows of the scenario'");
    session.execute("CREATE TABLE tokens (a text, b int, c bigint, PRIMARY KEY ((a, b), c))");
    check(session.checkSchemaAgreement(), true, "schema agreement");
    done("schema");
  }

  private static void types(CqlSession session, String keyspace) throws Exception {
    UserDefinedType address =
        session.getMetadata().getKeyspace(keyspace).orElseThrow().getUserDefinedType("address").orElseThrow();
    UdtValue home = address.newValue("Ring 1", 7, Set.of("home"));
    UdtValue work = address.newValue("Ring 2", 8, Set.of("work", "home"));
    TupleType tuple = DataTypes.tupleOf(DataTypes.INT, DataTypes.TEXT, DataTypes.BOOLEAN);
    TupleValue triple = session.prepare("INSERT INTO types (id, c_tuple) VALUES (?, ?)")
        .getVariableDefinitions().get(1).getType() instanceof TupleType served ? served.newValue(7, null, false)
        : tuple.newValue(7, null, false);
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("c_ascii", "plain");
    values.put("c_bigint", Long.MIN_VALUE);
    values.put("c_blob", ByteBuffer.wrap(new byte[] {0, 127, (byte) 128, (byte) 255}));
    values.put("c_boolean", true);
    values.put("c_date", LocalDate.of(1969, 7, 20));
    values.put("c_decimal", new BigDecimal("-12345678901234567890.123456789"));
    values.put("c_double", 2.718281828459045);
    values.put("c_duration", CqlDuration.newInstance(14, 3, 4_000_000_005L));
    values.put("c_float", 0.15625f);
    values.put("c_inet", InetAddress.getByName("2001:db8::1"));
    values.put("c_int", Integer.MIN_VALUE);
    values.put("c_smallint", Short.MIN_VALUE);
    values.put("c_text", "Ἀθηνᾶ 🏛");
    values.put("c_time", LocalTime.of(23, 59, 59, 999_999_999));
    values.put("c_timestamp", Instant.parse("2024-02-29T12:34:56.789Z"));
    values.put("c_timeuuid", Uuids.timeBased());
    values.put("c_tinyint", Byte.MIN_VALUE);
    values.put("c_uuid", UUID.randomUUID());
    values.put("c_varint", BigInteger.TWO.pow(100).negate());
    values.put("c_list", List.of(3, 1, 2, 1));
    values.put("c_set", Set.of("a", "b"));
    values.put("c_map", Map.of("x", 1L, "y", -2L));
    values.put("c_tuple", triple);
    values.put("c_udt", home);
    values.put("c_live_udt", work);
    values.put("c_vector", CqlVector.newInstance(1.0f, -0.5f, 0.25f));
    String marks = ", ?".repeat(values.size());
    PreparedStatement insert = session.prepare(
        "INSERT INTO types (id, " + String.join(", ", values.keySet()) + ") VALUES (?" + marks + ")");
    List<Object> bound = new ArrayList<>(values.values());
    bound.add(0, 1);
    session.execute(insert.bind(bound.toArray()));
    PreparedStatement select = session.prepare("SELECT * FROM types WHERE id = ?");
    Row row = session.execute(select.bind(1)).one();
    values.forEach((name, value) -> check(row.getObject(name), value, name));

    BoundStatementBuilder nulls = insert.boundStatementBuilder().setInt(0, 2);
    BoundStatementBuilder unset = insert.boundStatementBuilder().setInt(0, 1).setToNull(1);
    for (int i = 1; i <= values.size(); i++) {
      nulls = nulls.setToNull(i);
    }
    session.execute(nulls.build());
    session.execute(unset.build());
    Row empty = session.execute(select.bind(2)).one();
    values.keySet().forEach(name -> check(empty.isNull(name), true, name + " null"));
    Row after = session.execute(select.bind(1)).one();
    check(after.isNull("c_ascii"), true, "null beside UNSET");
    check(after.getInt("c_int"), Integer.MIN_VALUE, "UNSET");
    done("types");
  }

  private static void paging(CqlSession session, PreparedStatement insertRow) throws Exception {
    List<CompletionStage<?>> pending = new ArrayList<>();
    for (int i = 0; i < 10_000; i++) {
      pending.add(session.executeAsync(insertRow.bind(i % 7, i, "value " + i)));
      if (pending.size() == 256) {
        for (CompletionStage<?> one : pending) {
          one.toCompletableFuture().get();
        }
        pending.clear();
      }
    }
    for (CompletionStage<?> one : pending) {
      one.toCompletableFuture().get();
    }
    Set<Integer> seen = new HashSet<>();
    int rows = 0;
    for (Row row : session.execute(SimpleStatement.newInstance("SELECT clust FROM rows").setPageSize(777))) {
      seen.add(row.getInt(0));
      rows++;
    }
    check(rows, 10_000, "rows over pages");
    check(seen.size(), 10_000, "every row once");
    SimpleStatement slice = SimpleStatement.newInstance("SELECT clust FROM rows WHERE part = 3").setPageSize(100);
    ResultSet first = session.execute(slice);
    PagingState state = first.getExecutionInfo().getSafePagingState();
    int last = 0;
    for (int i = 0; i < 100; i++) {
      last = first.one().getInt(0);
    }
    check(session.execute(slice.setPagingState(state)).one().getInt(0), last - 7, "page two by its state");
    done("paging");
  }

  private static void batch(CqlSession session, PreparedStatement insertRow) {
    BatchStatement logged = BatchStatement.newInstance(BatchType.LOGGED);
    BatchStatement unlogged = BatchStatement.newInstance(BatchType.UNLOGGED);
    for (int i = 0; i < 3; i++) {
      logged = logged.add(insertRow.bind(100, i, "batched"));
    }
    logged = logged.add(SimpleStatement.newInstance("UPDATE rows SET shared = ? WHERE part = ?", "static", 100));
    for (int i = 3; i < 5; i++) {
      unlogged = unlogged.add(insertRow.bind(100, i, "batched"));
    }
    session.execute(logged);
    session.execute(unlogged);
    List<String> rows = new ArrayList<>();
    for (Row row : session.execute("SELECT clust, shared FROM rows WHERE part = 100")) {
      rows.add(row.getInt(0) + row.getString(1));
    }
    check(rows, List.of("4static", "3static", "2static", "1static", "0static"), "batch");
    done("batch");
  }

  private static void ttl(CqlSession session) throws Exception {
    session.execute("INSERT INTO rows (part, clust, value) VALUES (200, 1, 'short') USING TTL 2");
    int left = session.execute("SELECT ttl(value) FROM rows WHERE part = 200").one().getInt(0);
    check(left > 0 && left <= 2, true, "ttl " + left);
    Thread.sleep(2200);
    check(session.execute("SELECT * FROM rows WHERE part = 200").one(), null, "after the TTL");
    done("ttl");
  }

  private static void errors(CqlSession session) {
    fails(session, SyntaxError.class, "line 1", "SELEC * FROM rows");
    fails(session, InvalidQueryException.class, "nothere", "SELECT * FROM nothere");
    fails(session, InvalidQueryException.class, "ALLOW FILTERING", "SELECT * FROM rows WHERE value = 'x'");
    fails(session, AlreadyExistsException.class, "rows", "CREATE TABLE rows (a int PRIMARY KEY)");
    done("errors");
  }

  private static void fails(CqlSession session, Class<? extends Exception> kind, String part, String cql) {
    try {
      session.execute(cql);
    } catch (Exception error) {
      check(error.getClass(), kind, cql);
      check(error.getMessage().contains(part), true, error.getMessage());
      return;
    }
    throw new AssertionError(cql + " did not fail");
  }

  private static void token(CqlSession session, String keyspace) {
    Metadata metadata = session.getMetadata();
    PreparedStatement insert = session.prepare("INSERT INTO tokens (a, b, c) VALUES (?, ?, ?)");
    PreparedStatement select = session.prepare("SELECT token(a, b) FROM tokens WHERE a = ? AND b = ?");
    for (int i = 0; i < 100; i++) {
      String a = "käse".repeat(i % 5) + i;
      BoundStatement bound = insert.bind(a, i * -7919, (long) i);
      session.execute(bound);
      byte[] text = a.getBytes(StandardCharsets.UTF_8);
      Token expected = metadata.getTokenMap().orElseThrow()
          .newToken(ByteBuffer.wrap(text), ByteBuffer.allocate(4).putInt(0, i * -7919));
      Token served = session.execute(select.bind(a, i * -7919)).one().getToken(0);
      check(served, expected, "token of " + a);
      check(metadata.getTokenMap().orElseThrow().getReplicas(keyspace, bound.getRoutingKey()).size(), 1, "replicas");
    }
    done("token");
  }

  private static void metadata(CqlSession session, String keyspace) {
    TableMetadata table =
        session.getMetadata().getKeyspace(keyspace).orElseThrow().getTable("rows").orElseThrow();
    check(table.getPartitionKey().get(0).getName().asInternal(), "part", "partition key");
    check(table.getClusteringColumns().values().iterator().next(), ClusteringOrder.DESC, "clustering order");
    check(table.getColumn("shared").orElseThrow().isStatic(), true, "static");
    check(table.isCompactStorage(), false, "not compact");
    check(table.describe(false).contains("rows of the scenario"), true, "comment");
    session.execute("ALTER TABLE rows ADD extra map<int, text>");
    check(session.getMetadata().getKeyspace(keyspace).orElseThrow().getTable("rows").orElseThrow()
        .getColumn("extra").orElseThrow().getType().asCql(false, false), "map<int, text>", "after ALTER");
    done("metadata");
  }

  private static void restart(CqlSession session, PreparedStatement insertRow) throws Exception {
    System.out.println("RESTART");
    new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).readLine();
    long deadline = System.currentTimeMillis() + 30_000;
    while (true) {
      try {
        session.execute(insertRow.bind(300, 1, "after restart"));
        break;
      } catch (Exception error) {
        if (System.currentTimeMillis() > deadline) {
          throw error;
        }
        Thread.sleep(100);
      }
    }
    check(session.execute("SELECT value FROM rows WHERE part = 300").one().getString(0), "after restart", "written");
    check(session.execute("SELECT count(*) FROM rows WHERE part = 3").one().getLong(0), 1429L, "what was there before");
    done("restart");
  }
}
