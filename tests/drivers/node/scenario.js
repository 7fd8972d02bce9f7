// The driver scenario with the Node.js cassandra-driver (protocol v4; it has no v5 and no LZ4). See ../README.md.
'use strict';

const assert = require('assert');
const readline = require('readline');
const cassandra = require('cassandra-driver');

const { types } = cassandra;
const [host, port, version, compression] = process.argv.slice(2);
const keyspace = `node_v${version}_${compression}`;
const done = (step) => console.log(`ok ${step}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const options = {
  contactPoints: [`${host}:${port}`],
  localDataCenter: 'datacenter1',
  protocolOptions: { maxVersion: Number(version) },
  queryOptions: { consistency: types.consistencies.quorum, prepare: false },
  policies: { reconnection: new cassandra.policies.reconnection.ConstantReconnectionPolicy(200) },
  encoding: { useBigIntAsLong: true },
};

async function main() {
  const setup = new cassandra.Client(options);
  await setup.connect();
  const node = setup.hosts.values()[0];
  assert.strictEqual(setup.controlConnection.protocolVersion, Number(version));
  assert.strictEqual(node.datacenter, 'datacenter1');
  assert.strictEqual(node.rack, 'rack1');
  done('connect');

  await setup.execute(`DROP KEYSPACE IF EXISTS ${keyspace}`);
  await setup.execute(
    `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`);
  const client = new cassandra.Client({ ...options, keyspace });
  await client.connect();
  await client.execute('CREATE TYPE address (street text, number int, tags frozen<set<text>>)');
  const columns = [
    ['ascii', 'ascii', 'plain'],
    ['bigint', 'bigint', -(2n ** 63n)],
    ['blob', 'blob', Buffer.from([0, 127, 128, 255])],
    ['boolean', 'boolean', true],
    ['date', 'date', types.LocalDate.fromString('1969-07-20')],
    ['decimal', 'decimal', types.BigDecimal.fromString('-12345678901234567890.123456789')],
    ['double', 'double', 2.718281828459045],
    ['duration', 'duration', new types.Duration(14, 3, types.Long.fromString('4000000005'))],
    ['float', 'float', 0.15625],
    ['inet', 'inet', types.InetAddress.fromString('2001:db8::1')],
    ['int', 'int', -(2 ** 31)],
    ['smallint', 'smallint', -32768],
    ['text', 'text', 'Ἀθηνᾶ 🏛'],
    ['time', 'time', types.LocalTime.fromString('23:59:59.999999999')],
    ['timestamp', 'timestamp', new Date('2024-02-29T12:34:56.789Z')],
    ['timeuuid', 'timeuuid', types.TimeUuid.now()],
    ['tinyint', 'tinyint', -128],
    ['uuid', 'uuid', types.Uuid.random()],
    ['varint', 'varint', types.Integer.fromString('-1267650600228229401496703205376')],
    ['list', 'list<int>', [3, 1, 2, 1]],
    ['set', 'set<text>', ['a', 'b']],
    ['map', 'map<text, bigint>', { x: 1n, y: -2n }],
    ['tuple', 'tuple<int, text, boolean>', new types.Tuple(7, null, false)],
    ['udt', 'frozen<address>', { street: 'Ring 1', number: 7, tags: ['home'] }],
    ['live_udt', 'address', { street: 'Ring 2', number: 8, tags: ['home', 'work'] }],
  ];
  await client.execute(
    `CREATE TABLE types (id int PRIMARY KEY, ${columns.map(([n, t]) => `c_${n} ${t}`).join(', ')})`);
  await client.execute(
    'CREATE TABLE rows (part int, clust int, value text, shared text STATIC, PRIMARY KEY (part, clust)) ' +
    "WITH CLUSTERING ORDER BY (clust DESC) AND comment = 'rows of the scenario'");
  await client.execute('CREATE TABLE tokens (a text, b int, c bigint, PRIMARY KEY ((a, b), c))');
  done('schema');

  const prepared = { prepare: true };
  const insert = `INSERT INTO types (id, ${columns.map(([n]) => `c_${n}`).join(', ')}) VALUES (?${', ?'.repeat(columns.length)})`;
  await client.execute(insert, [1, ...columns.map((c) => c[2])], prepared);
  const read = async (id) => (await client.execute('SELECT * FROM types WHERE id = ?', [id], prepared)).first();
  let row = await read(1);
  const plain = (value) => (value === null || value === undefined ? null
    : typeof value === 'bigint' ? value.toString()
      : Array.isArray(value) ? value.map(plain)
        : value instanceof types.Tuple ? value.values().map(plain)
          : value.constructor === Object ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
            : value instanceof Date || Buffer.isBuffer(value) ? JSON.stringify(value) : typeof value === 'object' ? value.toString() : value);
  for (const [name, , value] of columns) {
    assert.deepStrictEqual(plain(row[`c_${name}`]), plain(value), name);
  }
  await client.execute(insert, [2, ...columns.map(() => null)], prepared);
  row = await read(2);
  for (const [name] of columns) assert.strictEqual(row[`c_${name}`], null, name);
  await client.execute(insert, [1, null, ...columns.slice(1).map(() => types.unset)], prepared);
  row = await read(1);
  assert.strictEqual(row.c_ascii, null);
  assert.strictEqual(row.c_int, -(2 ** 31));
  done('types');

  const insertRow = 'INSERT INTO rows (part, clust, value) VALUES (?, ?, ?)';
  await cassandra.concurrent.executeConcurrent(
    client, insertRow, Array.from({ length: 10000 }, (_, i) => [i % 7, i, `value ${i}`]), { concurrencyLevel: 128 });
  const seen = new Set();
  let pages = 0;
  let result = await client.execute('SELECT part, clust, value FROM rows', [], { prepare: true, fetchSize: 777 });
  for (;;) {
    pages += 1;
    for (const r of result.rows) seen.add(r.clust);
    if (!result.pageState) break;
    result = await client.execute('SELECT part, clust, value FROM rows', [], { prepare: true, fetchSize: 777, pageState: result.pageState });
  }
  assert.strictEqual(seen.size, 10000);
  assert.ok(pages >= 13, `${pages} pages`);
  done('paging');

  await client.batch([0, 1, 2].map((i) => ({ query: insertRow, params: [100, i, 'batched'] }))
    .concat([{ query: 'UPDATE rows SET shared = ? WHERE part = ?', params: ['static', 100] }]), { prepare: true, logged: true });
  await client.batch([3, 4].map((i) => ({ query: insertRow, params: [100, i, 'batched'] })), { prepare: true, logged: false });
  result = await client.execute('SELECT clust, shared FROM rows WHERE part = ?', [100], prepared);
  assert.deepStrictEqual(result.rows.map((r) => [r.clust, r.shared]), [4, 3, 2, 1, 0].map((i) => [i, 'static']));
  done('batch');

  await client.execute("INSERT INTO rows (part, clust, value) VALUES (200, 1, 'short') USING TTL 2");
  row = (await client.execute('SELECT ttl(value) AS remaining FROM rows WHERE part = 200')).first();
  assert.ok(row.remaining > 0 && row.remaining <= 2, `ttl ${row.remaining}`);
  await sleep(2200);
  assert.strictEqual((await client.execute('SELECT * FROM rows WHERE part = 200')).rowLength, 0);
  done('ttl');

  const codes = types.responseErrorCodes;
  await assert.rejects(client.execute('SELEC * FROM rows'), (e) => e.code === codes.syntaxError && /line 1/.test(e.message));
  await assert.rejects(client.execute('SELECT * FROM nothere'), (e) => e.code === codes.invalid && /nothere/.test(e.message));
  await assert.rejects(client.execute('CREATE TABLE rows (a int PRIMARY KEY)'), (e) => e.code === codes.alreadyExists);
  await assert.rejects(client.execute("SELECT * FROM rows WHERE value = 'x'"), (e) => /ALLOW FILTERING/.test(e.message));
  done('errors');

  const tokenizer = client.metadata.tokenizer;
  for (let i = 0; i < 100; i += 1) {
    const key = ['käse'.repeat(i % 5) + i, i * -7919];
    await client.execute('INSERT INTO tokens (a, b, c) VALUES (?, ?, ?)', [...key, BigInt(i)], prepared);
    const text = Buffer.from(key[0]);
    const buffer = Buffer.alloc(2 + text.length + 1 + 2 + 4 + 1);
    buffer.writeUInt16BE(text.length, 0);
    text.copy(buffer, 2);
    buffer.writeUInt16BE(4, 3 + text.length);
    buffer.writeInt32BE(key[1], 5 + text.length);
    row = (await client.execute('SELECT token(a, b) AS t FROM tokens WHERE a = ? AND b = ?', key, prepared)).first();
    assert.strictEqual(tokenizer.hash(buffer).toString(), row.t.toString(), `token of ${key}`);
  }
  assert.strictEqual(client.getReplicas(keyspace, Buffer.from('x')).length, 1);
  done('token');

  const table = await client.metadata.getTable(keyspace, 'rows');
  assert.deepStrictEqual(table.partitionKeys.map((c) => c.name), ['part']);
  assert.deepStrictEqual(table.clusteringKeys.map((c) => c.name), ['clust']);
  assert.deepStrictEqual(table.clusteringOrder, ['DESC']);
  assert.strictEqual(table.columnsByName.shared.isStatic, true);
  assert.strictEqual(table.comment, 'rows of the scenario');
  assert.strictEqual(table.isCompact, false);
  const udt = await client.metadata.getUdt(keyspace, 'address');
  assert.deepStrictEqual(udt.fields.map((f) => f.name), ['street', 'number', 'tags']);
  done('metadata');

  console.log('RESTART');
  await new Promise((resolve) => readline.createInterface({ input: process.stdin }).once('line', resolve));
  const deadline = Date.now() + 30000;
  for (;;) {
    try {
      await client.execute(insertRow, [300, 1, 'after restart'], prepared);
      break;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(100);
    }
  }
  row = (await client.execute('SELECT value FROM rows WHERE part = 300')).first();
  assert.strictEqual(row.value, 'after restart');
  row = (await client.execute('SELECT count(*) AS n FROM rows WHERE part = 3')).first();
  assert.strictEqual(row.n.toString(), '1429');
  done('restart');
  await client.shutdown();
  await setup.shutdown();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
