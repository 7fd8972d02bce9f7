// The driver scenario with gocql (protocol v4 and v5). See ../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/apache/cassandra-gocql-driver/v2/lz4"
	"gopkg.in/inf.v0"
)

func check(ok bool, format string, arguments ...any) {
	if !ok {
		fmt.Fprintf(os.Stderr, format+"\n", arguments...)
		os.Exit(1)
	}
}

func must(err error, what string) {
	check(err == nil, "%s: %v", what, err)
}

func done(step string) { fmt.Println("ok", step) }

type address struct {
	Street string   `cql:"street"`
	Number int      `cql:"number"`
	Tags   []string `cql:"tags"`
}

func cluster(host string, port, version int, compression, keyspace string) *gocql.ClusterConfig {
	config := gocql.NewCluster(host)
	config.Port = port
	config.ProtoVersion = version
	config.Keyspace = keyspace
	config.Consistency = gocql.Quorum
	config.Timeout = 30 * time.Second
	config.ConnectTimeout = 10 * time.Second
	config.ReconnectInterval = 200 * time.Millisecond
	config.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 100, Interval: 200 * time.Millisecond}
	config.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	if compression == "lz4" {
		config.Compressor = lz4.LZ4Compressor{}
	}
	return config
}

func main() {
	host, compression := os.Args[1], os.Args[4]
	port, _ := strconv.Atoi(os.Args[2])
	version, _ := strconv.Atoi(os.Args[3])
	keyspace := fmt.Sprintf("go_v%d_%s", version, compression)

	setup, err := cluster(host, port, version, compression, "").CreateSession()
	must(err, "connect")
	var dc, rack, release string
	must(setup.Query("SELECT data_center, rack, release_version FROM system.local").Scan(&dc, &rack, &release), "system.local")
	check(dc == "datacenter1" && rack == "rack1" && release[0] >= '4', "local: %s %s %s", dc, rack, release)
	done("connect")

	must(setup.Query("DROP KEYSPACE IF EXISTS "+keyspace).Exec(), "drop")
	must(setup.Query("CREATE KEYSPACE "+keyspace+" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}").Exec(), "create keyspace")
	session, err := cluster(host, port, version, compression, keyspace).CreateSession()
	must(err, "connect to the keyspace")
	types := []struct {
		name, cql string
		value     any
	}{
		{"ascii", "ascii", "plain"},
		{"bigint", "bigint", int64(-1 << 63)},
		{"blob", "blob", []byte{0, 127, 128, 255}},
		{"boolean", "boolean", true},
		{"date", "date", time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC)},
		{"decimal", "decimal", inf.NewDec(-1234567890123456789, 9)},
		{"double", "double", 2.718281828459045},
		{"duration", "duration", gocql.Duration{Months: 14, Days: 3, Nanoseconds: 4000000005}},
		{"float", "float", float32(0.15625)},
		{"inet", "inet", net.ParseIP("2001:db8::1")},
		{"int", "int", -1 << 31},
		{"smallint", "smallint", int16(-32768)},
		{"text", "text", "Ἀθηνᾶ 🏛"},
		{"time", "time", 86399999999999 * time.Nanosecond},
		{"timestamp", "timestamp", time.Date(2024, 2, 29, 12, 34, 56, 789000000, time.UTC)},
		{"timeuuid", "timeuuid", gocql.TimeUUID()},
		{"tinyint", "tinyint", int8(-128)},
		{"uuid", "uuid", gocql.MustRandomUUID()},
		{"varint", "varint", new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 100))},
		{"list", "list<int>", []int{3, 1, 2, 1}},
		{"set", "set<text>", []string{"a", "b"}},
		{"map", "map<text, bigint>", map[string]int64{"x": 1, "y": -2}},
		{"udt", "frozen<address>", address{"Ring 1", 7, []string{"home"}}},
		{"live_udt", "address", address{"Ring 2", 8, []string{"home", "work"}}},
		{"vector", "vector<float, 3>", []float32{1, -0.5, 0.25}},
	}
	must(session.Query("CREATE TYPE address (street text, number int, tags frozen<set<text>>)").Exec(), "create type")
	var columns, names, marks []string
	for _, t := range types {
		columns = append(columns, "c_"+t.name+" "+t.cql)
		names = append(names, "c_"+t.name)
		marks = append(marks, "?")
	}
	must(session.Query("CREATE TABLE types (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")").Exec(), "create types")
	must(session.Query("CREATE TABLE rows (part int, clust int, value text, shared text STATIC, PRIMARY KEY (part, clust)) "+
		"WITH CLUSTERING ORDER BY (clust DESC) AND comment = 'rows of the scenario'").Exec(), "create rows")
	must(session.Query("CREATE TABLE tokens (a text, b int, c bigint, PRIMARY KEY ((a, b), c))").Exec(), "create tokens")
	must(session.AwaitSchemaAgreement(context.Background()), "schema agreement")
	done("schema")

	insert := "INSERT INTO types (id, " + strings.Join(names, ", ") + ") VALUES (?, " + strings.Join(marks, ", ") + ")"
	values := []any{1}
	for _, t := range types {
		values = append(values, t.value)
	}
	must(session.Query(insert, values...).Exec(), "insert types")
	for _, t := range types {
		got := reflect.New(reflect.TypeOf(t.value))
		must(session.Query("SELECT c_"+t.name+" FROM types WHERE id = 1").Scan(got.Interface()), "read "+t.name)
		same := reflect.DeepEqual(got.Elem().Interface(), t.value)
		switch expected := t.value.(type) {
		case time.Time:
			same = got.Elem().Interface().(time.Time).Equal(expected)
		case *big.Int:
			same = got.Elem().Interface().(*big.Int).Cmp(expected) == 0
		case *inf.Dec:
			same = got.Elem().Interface().(*inf.Dec).Cmp(expected) == 0
		case net.IP:
			same = got.Elem().Interface().(net.IP).Equal(expected)
		}
		check(same, "%s: got %v, expected %v", t.name, got.Elem().Interface(), t.value)
	}
	nulls, unset := []any{2}, []any{1, nil}
	for i, t := range types {
		if strings.Contains(t.cql, "address") {
			nulls = append(nulls, gocql.UnsetValue) // The driver has no null for a user type.
		} else {
			nulls = append(nulls, nil)
		}
		if i > 0 {
			unset = append(unset, gocql.UnsetValue)
		}
	}
	must(session.Query(insert, nulls...).Exec(), "insert nulls")
	var text *string
	var integer *int
	must(session.Query("SELECT c_text, c_int FROM types WHERE id = 2").Scan(&text, &integer), "read nulls")
	check(text == nil && integer == nil, "nulls: %v %v", text, integer)
	must(session.Query(insert, unset...).Exec(), "insert unset")
	must(session.Query("SELECT c_ascii, c_int FROM types WHERE id = 1").Scan(&text, &integer), "read unset")
	check(text == nil && integer != nil && *integer == -1<<31, "unset: %v %v", text, integer)
	done("types")

	insertRow := "INSERT INTO rows (part, clust, value) VALUES (?, ?, ?)"
	failures := make(chan error, 16)
	for worker := 0; worker < 16; worker++ {
		go func() {
			for i := worker; i < 10000; i += 16 {
				if err := session.Query(insertRow, i%7, i, fmt.Sprint("value ", i)).Exec(); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for worker := 0; worker < 16; worker++ {
		must(<-failures, "insert rows")
	}
	seen := map[int]bool{}
	pages := 0
	var state []byte
	for {
		iter := session.Query("SELECT clust FROM rows").PageSize(777).PageState(state).Iter()
		state = iter.PageState()
		var clust int
		for iter.Scan(&clust) {
			seen[clust] = true
		}
		must(iter.Close(), "page")
		pages++
		if len(state) == 0 {
			break
		}
	}
	check(len(seen) == 10000 && pages >= 13, "%d rows in %d pages", len(seen), pages)
	done("paging")

	for kind, batchType := range []gocql.BatchType{gocql.LoggedBatch, gocql.UnloggedBatch} {
		batch := session.Batch(batchType)
		for i := 0; i < 5; i++ {
			batch.Query(insertRow, 100+kind, i, "batched")
		}
		batch.Query("UPDATE rows SET shared = ? WHERE part = ?", "static", 100+kind)
		must(batch.Exec(), "batch")
		var clust int
		var shared string
		var got []int
		iter := session.Query("SELECT clust, shared FROM rows WHERE part = ?", 100+kind).Iter()
		for iter.Scan(&clust, &shared) {
			check(shared == "static", "shared %q", shared)
			got = append(got, clust)
		}
		must(iter.Close(), "read batch")
		check(reflect.DeepEqual(got, []int{4, 3, 2, 1, 0}), "batch rows %v", got)
	}
	done("batch")

	must(session.Query("INSERT INTO rows (part, clust, value) VALUES (200, 1, 'short') USING TTL 2").Exec(), "insert with TTL")
	var ttl int
	must(session.Query("SELECT ttl(value) FROM rows WHERE part = 200").Scan(&ttl), "ttl")
	check(ttl > 0 && ttl <= 2, "ttl %d", ttl)
	time.Sleep(2200 * time.Millisecond)
	err = session.Query("SELECT ttl(value) FROM rows WHERE part = 200").Scan(&ttl)
	check(errors.Is(err, gocql.ErrNotFound), "after the TTL: %v", err)
	done("ttl")

	fails := func(code int, part, cql string) {
		err := session.Query(cql).Exec()
		var request gocql.RequestError
		check(errors.As(err, &request), "%s: %v", cql, err)
		check(request.Code() == code && strings.Contains(request.Message(), part), "%s: %#x %s", cql, request.Code(), request.Message())
	}
	fails(gocql.ErrCodeSyntax, "line 1", "SELEC * FROM rows")
	fails(gocql.ErrCodeInvalid, "nothere", "SELECT * FROM nothere")
	fails(gocql.ErrCodeInvalid, "ALLOW FILTERING", "SELECT * FROM rows WHERE value = 'x'")
	fails(gocql.ErrCodeAlreadyExists, "rows", "CREATE TABLE rows (a int PRIMARY KEY)")
	done("errors")

	for i := 0; i < 100; i++ {
		a, b := strings.Repeat("käse", i%5)+strconv.Itoa(i), i*-7919
		must(session.Query("INSERT INTO tokens (a, b, c) VALUES (?, ?, ?)", a, b, i).Exec(), "insert token")
		var count int
		must(session.Query("SELECT count(*) FROM tokens WHERE token(a, b) = token(?, ?)", a, b).Scan(&count), "token")
		check(count == 1, "token of %s %d finds %d rows", a, b, count)
	}
	done("token")

	metadata, err := session.KeyspaceMetadata(keyspace)
	must(err, "metadata")
	table := metadata.Tables["rows"]
	check(len(table.PartitionKey) == 1 && table.PartitionKey[0].Name == "part", "partition key %v", table.PartitionKey)
	check(len(table.ClusteringColumns) == 1 && table.ClusteringColumns[0].Order == gocql.DESC, "clustering %v", table.ClusteringColumns)
	check(table.Columns["shared"].Kind == gocql.ColumnStatic, "static %v", table.Columns["shared"])
	userType := metadata.UserTypes["address"]
	check(userType != nil && reflect.DeepEqual(userType.FieldNames, []string{"street", "number", "tags"}), "user type %v", userType)
	var all []string
	for name := range metadata.Tables {
		all = append(all, name)
	}
	sort.Strings(all)
	check(reflect.DeepEqual(all, []string{"rows", "tokens", "types"}), "tables %v", all)
	done("metadata")

	fmt.Println("RESTART")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := session.Query(insertRow, 300, 1, "after restart").Exec()
		if err == nil {
			break
		}
		check(time.Now().Before(deadline), "after restart: %v", err)
		time.Sleep(100 * time.Millisecond)
	}
	var value string
	var count int
	must(session.Query("SELECT value FROM rows WHERE part = 300").Scan(&value), "written after restart")
	must(session.Query("SELECT count(*) FROM rows WHERE part = 3").Scan(&count), "count")
	check(value == "after restart" && count == 1429, "after restart: %s %d", value, count)
	done("restart")
	session.Close()
	setup.Close()
}
