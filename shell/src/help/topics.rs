//! The topics' texts. Lines that begin with `  > ` are examples; a test parses them.

use super::Topic;

const fn topic(name: &'static str, text: &'static str) -> Topic {
    Topic { name, text }
}

pub(super) const TOPICS: &[Topic] = &[
    topic("ALTER KEYSPACE", "
ALTER KEYSPACE [IF EXISTS] keyspace WITH option = value [AND ...]
Changes a keyspace's replication or durable_writes.
  > ALTER KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3};
"),
    topic("ALTER TABLE", "
ALTER TABLE [IF EXISTS] table ADD column type [, ...] | DROP column [, ...]
    | RENAME key_column TO name | WITH option = value [AND ...]
Changes a table. Types of columns can't change; only columns of the key can be renamed.
  > ALTER TABLE orders ADD note text;
  > ALTER TABLE orders WITH default_time_to_live = 86400;
"),
    topic("ALTER TYPE", "
ALTER TYPE [IF EXISTS] type ADD field type | RENAME field TO name [AND ...]
Changes a user type. Fields can't be removed.
  > ALTER TYPE address ADD country text;
"),
    topic("BATCH", "
BEGIN [UNLOGGED | COUNTER] BATCH [USING TIMESTAMP microseconds] statement; ... APPLY BATCH
Applies INSERT, UPDATE and DELETE statements with one timestamp: of a logged batch (the default) all take effect or
none. It is no way to load data faster, unless all rows are of one partition.
  > BEGIN BATCH INSERT INTO t (a) VALUES (1); DELETE FROM t WHERE a = 2; APPLY BATCH;
"),
    topic("CAPTURE", "
CAPTURE 'file' | CAPTURE OFF | CAPTURE
Appends results to a file instead of showing them. Without an argument it tells which. Short form: \\o.
"),
    topic("CLEAR", "
CLEAR
Clears the terminal. CLS does too.
"),
    topic("CONSISTENCY", "
CONSISTENCY [ANY | ONE | TWO | THREE | QUORUM | ALL | LOCAL_ONE | LOCAL_QUORUM | EACH_QUORUM | SERIAL | LOCAL_SERIAL]
Sets the consistency level of the statements that follow, or tells it. USING CONSISTENCY sets that of one statement.
  > SELECT * FROM t WHERE a = 1 USING CONSISTENCY QUORUM;
"),
    topic("COPY", "
COPY [keyspace.]table [(column, ...)] TO 'file.csv' | STDOUT [WITH option = value [AND ...]]
COPY [keyspace.]table [(column, ...)] FROM 'file.csv' | STDIN [WITH option = value [AND ...]]
Writes a table's rows to a file of comma-separated values, or reads them from one. TO replaces the file once all rows
are written. Of FROM, rows that can't be read or are refused are counted, kept in ERRFILE (a new file each time), and do
not stop the rest.
A field in quotes is text: \"\" is the empty text, and nothing at all is null. Text that holds delimiters, quotes or
line ends, or reads like null, is written in quotes, with quotes inside doubled. Files of cqlsh have \\\" and \\\\
instead, hold a line end as \\\\n, and do not tell '' from null: DIALECT = 'cqlsh' reads and writes those.
"),
    topic("CREATE FUNCTION", "
CREATE [OR REPLACE] FUNCTION [IF NOT EXISTS] function (argument type, ...)
    CALLED | RETURNS NULL ON NULL INPUT RETURNS type LANGUAGE language AS 'body'
Makes a function of the user's own, where the server allows them.
"),
    topic("CREATE INDEX", "
CREATE [CUSTOM] INDEX [IF NOT EXISTS] [name] ON table (column | KEYS(column) | VALUES(column) | ENTRIES(column)
    | FULL(column)) [USING 'class']
Makes a secondary index.
  > CREATE INDEX orders_by_state ON orders (state);
"),
    topic("CREATE KEYSPACE", "
CREATE KEYSPACE [IF NOT EXISTS] keyspace WITH replication = {...} [AND durable_writes = false]
Makes a keyspace: tables that are replicated alike.
  > CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
  > CREATE KEYSPACE s WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3};
"),
    topic("CREATE MATERIALIZED VIEW", "
CREATE MATERIALIZED VIEW [IF NOT EXISTS] view AS SELECT columns FROM table
    WHERE key_column IS NOT NULL AND ... PRIMARY KEY (...)
Makes a table that follows another under a different key.
"),
    topic("CREATE ROLE", "
CREATE ROLE [IF NOT EXISTS] role [WITH PASSWORD = '...' AND LOGIN = true AND SUPERUSER = false ...]
Makes a role. Statements with passwords are not kept in the history.
  > CREATE ROLE clerk WITH PASSWORD = 'secret' AND LOGIN = true;
"),
    topic("CREATE TABLE", "
CREATE TABLE [IF NOT EXISTS] table (column type [STATIC], ..., PRIMARY KEY ((partition key), clustering columns))
    [WITH CLUSTERING ORDER BY (column DESC, ...) AND option = value ...]
Makes a table. Rows with the same partition key are stored together, sorted by the clustering columns.
  > CREATE TABLE users (id uuid PRIMARY KEY, name text, tags set<text>);
  > CREATE TABLE m (sensor text, day date, at timestamp, v double, PRIMARY KEY ((sensor, day), at));
"),
    topic("CREATE TYPE", "
CREATE TYPE [IF NOT EXISTS] type (field type, ...)
Makes a user type: a value with named fields.
  > CREATE TYPE address (street text, city text, zip int);
"),
    topic("DELETE", "
DELETE [column | column[key], ...] FROM table [USING TIMESTAMP microseconds] WHERE relations [IF EXISTS | IF conditions]
Deletes columns, rows, ranges of rows or whole partitions. WHERE must give the partition key.
  > DELETE FROM orders WHERE customer = 7 AND id = 3;
  > DELETE tags['old'] FROM users WHERE id = 123e4567-e89b-12d3-a456-426655440000;
"),
    topic("DESCRIBE", "
DESCRIBE CLUSTER | KEYSPACES | TABLES | TYPES | FUNCTIONS | AGGREGATES | [FULL] SCHEMA
DESCRIBE [KEYSPACE | TABLE | TYPE | FUNCTION | AGGREGATE | INDEX | MATERIALIZED VIEW] name [WITH INTERNALS]
Shows the statements that would make it again, or lists names. Short forms: \\d, \\dt, \\l.
  > DESCRIBE TABLE shop.orders;
"),
    topic("DROP", "
DROP KEYSPACE | TABLE | TYPE | INDEX | MATERIALIZED VIEW | FUNCTION | AGGREGATE | ROLE [IF EXISTS] name
Drops it. In a terminal it asks first, unless the shell was started with --yes.
  > DROP TABLE IF EXISTS shop.orders;
"),
    topic("EXIT", "
EXIT
Leaves the shell; in a script, the script. QUIT, \\q and Ctrl-D do too.
"),
    topic("EXPAND", "
EXPAND [ON | OFF | AUTO]
Prints each row as lines of column and value. AUTO, the default in a terminal, does so where a table would be wider
than the terminal. Without an argument it tells which. Short form: \\x, which alone switches.
"),
    topic("FORMAT", "
FORMAT [table | expanded | csv | json | ndjson | markdown]
Sets how results are printed. Short form: \\f.
"),
    topic("GRANT", "
GRANT permission ON resource TO role | GRANT role TO role
Gives a role a permission (ALTER, AUTHORIZE, CREATE, DESCRIBE, DROP, EXECUTE, MODIFY, SELECT, ALL) or another role.
  > GRANT SELECT ON KEYSPACE shop TO clerk;
"),
    topic("HELP", "
HELP [topic]
Shows help on a topic, or lists the topics.
"),
    topic("INSERT", "
INSERT INTO table (column, ...) VALUES (value, ...) [IF NOT EXISTS] [USING TTL seconds AND TIMESTAMP microseconds]
INSERT INTO table JSON '{...}' [DEFAULT NULL | DEFAULT UNSET]
Writes a row. A row with the same key is overwritten, column by column.
  > INSERT INTO users (id, name, tags) VALUES (uuid(), 'Ann', {'a', 'b'}) USING TTL 3600;
"),
    topic("LIST", "
LIST ROLES [OF role] | LIST USERS | LIST ALL PERMISSIONS [ON resource] [OF role]
Lists roles and permissions.
  > LIST ROLES;
"),
    topic("LOGIN", "
LOGIN user [password]
Connects as another role. Without a password it is asked for. It is never stored.
"),
    topic("PAGING", "
PAGING [ON | OFF | rows]
Fetches results page by page, so many rows at a time; in a terminal each page waits for Enter. Without an argument it
tells the setting.
"),
    topic("REVOKE", "
REVOKE permission ON resource FROM role | REVOKE role FROM role
Takes away what GRANT gave.
  > REVOKE MODIFY ON TABLE shop.orders FROM clerk;
"),
    topic("SELECT", "
SELECT [DISTINCT] * | expression [AS name], ... FROM table
    [WHERE relations] [GROUP BY columns] [ORDER BY clustering column [DESC]]
    [PER PARTITION LIMIT n] [LIMIT n] [ALLOW FILTERING] [USING TIMEOUT duration AND CONSISTENCY level]
Reads rows. WHERE gives the partition key (=, IN or token()) and, in their order, clustering columns; anything else
reads all partitions and needs ALLOW FILTERING.
  > SELECT * FROM orders WHERE customer = 7 AND id > 3 ORDER BY id DESC LIMIT 10;
  > SELECT count(*) FROM orders;
  > SELECT name, ttl(name), writetime(name) FROM users WHERE token(id) > 0;
"),
    topic("SERIAL CONSISTENCY", "
SERIAL CONSISTENCY [SERIAL | LOCAL_SERIAL]
Sets the level of the conditional part of statements with IF, or tells it.
"),
    topic("SHOW", "
SHOW VERSION | HOST | SESSION trace_id
Shows versions, the server connected to, or a trace.
"),
    topic("SOURCE", "
SOURCE 'file'
Runs the statements and commands of a file. Short form: \\i.
"),
    topic("TIMING", "
TIMING [ON | OFF]
Shows under each result how long it took. Short form: \\timing.
"),
    topic("TRACING", "
TRACING [ON | OFF]
Asks the server to trace the statements that follow, and shows the id of each trace; SHOW SESSION prints one.
"),
    topic("TRUNCATE", "
TRUNCATE [TABLE] table
Deletes all rows of a table. In a terminal it asks first, unless the shell was started with --yes.
  > TRUNCATE TABLE orders;
"),
    topic("TYPES", "
ascii text blob boolean | tinyint smallint int bigint varint decimal float double counter | uuid timeuuid inet
date time timestamp duration | list<t> set<t> map<k, v> tuple<t, ...> frozen<t> vector<t, n> | user types
How values are written:
  'text' (' is doubled), $$text$$, 42, 1.5e10, true, 0xcafe, 123e4567-e89b-12d3-a456-426655440000,
  '2024-02-29', '08:30:00.5', '2024-02-29 08:30:00+0000', 1h30m, [1, 2], {1, 2}, {'k': 1}, (1, 'a'), {field: 1}
"),
    topic("UPDATE", "
UPDATE table [USING TTL seconds AND TIMESTAMP microseconds] SET column = value, ... WHERE relations
    [IF EXISTS | IF conditions]
Writes columns of rows, which need not exist. WHERE must give the whole primary key.
  > UPDATE users SET name = 'Bo', tags = tags + {'c'} WHERE id = 123e4567-e89b-12d3-a456-426655440000;
  > UPDATE hits SET n = n + 1 WHERE page = '/';
"),
    topic("USE", "
USE keyspace
Makes it the keyspace of names that are written without one. Short form: \\c.
  > USE shop;
"),
];
