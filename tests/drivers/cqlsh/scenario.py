"""The driver scenario's last client: cqlsh from PyPI, driven through a pseudo-terminal. See ../README.md."""

import csv
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pexpect

host, port, version, compression = sys.argv[1:5]
keyspace = f"cqlsh_v{version}"
home = tempfile.mkdtemp()
cqlsh = str(pathlib.Path(sys.executable).parent / "cqlsh")
command = [cqlsh, host, port, "--protocol-version", version, "--no-color", "--request-timeout=30"]
environment = dict(os.environ, HOME=home, TERM="dumb", COLUMNS="200", CQLSH_HOST=host, CQLSH_PORT=port)


def check(condition, what, seen=""):
    assert condition, f"{what}\n--- seen ---\n{seen}"


def done(step):
    print(f"ok {step}", flush=True)


shell = pexpect.spawn(command[0], command[1:], env=environment, encoding="utf-8", timeout=60, dimensions=(50, 200))
shell.expect("cqlsh> ")
check("Connected to" in shell.before, "banner", shell.before)


def ask(text, prompt=r"cqlsh(:\w+)?> "):
    """Types a line and gives back what is printed up to the next prompt."""
    shell.sendline(text)
    shell.expect(prompt)
    return shell.before.split("\n", 1)[-1].replace("\r", "")


seen = ask("SHOW VERSION")
check(re.search(r"\[cqlsh .* CQL spec 3\.4\.\d+ \| Native protocol v" + version, seen), "SHOW VERSION", seen)
seen = ask("SHOW HOST")
check(port in seen, "SHOW HOST", seen)
done("connect")

ask(f"DROP KEYSPACE IF EXISTS {keyspace};")
ask(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}};")
ask(f"USE {keyspace};")
ask("CREATE TYPE address (street text, number int);")
ask(
    "CREATE TABLE rows (part int, clust int, value text, tags set<text>, home frozen<address>, shared text STATIC,"
    " PRIMARY KEY (part, clust)) WITH CLUSTERING ORDER BY (clust DESC) AND comment = 'of cqlsh';"
)
seen = ask("DESCRIBE TABLES")
check("rows" in seen, "DESCRIBE TABLES", seen)
seen = ask("DESCRIBE TABLE rows")
check(f"CREATE TABLE {keyspace}.rows (" in seen, "DESCRIBE TABLE", seen)
check("CLUSTERING ORDER BY (clust DESC)" in seen and "comment = 'of cqlsh'" in seen, "DESCRIBE TABLE options", seen)
seen = ask(f"DESCRIBE KEYSPACE {keyspace}")
check("CREATE KEYSPACE" in seen and "CREATE TYPE" in seen and "CREATE TABLE" in seen, "DESCRIBE KEYSPACE", seen)
seen = ask("DESCRIBE KEYSPACES")
check(keyspace in seen and "system_schema" in seen, "DESCRIBE KEYSPACES", seen)
seen = ask("DESCRIBE TYPES")
check("address" in seen, "DESCRIBE TYPES", seen)
seen = ask("DESCRIBE CLUSTER")
check("Cluster:" in seen and "Murmur3Partitioner" in seen, "DESCRIBE CLUSTER", seen)
seen = ask("DESCRIBE nothere")
check("nothere" in seen, "DESCRIBE of what is not there", seen)
done("describe")

ask("INSERT INTO rows (part, clust, value, tags, home, shared) VALUES "
    "(1, 1, 'it''s', {'b', 'a'}, {street: 'Ring', number: 1}, 's');")
seen = ask("SELECT * FROM rows;")
check("it's" in seen and "{'a', 'b'}" in seen and "{street: 'Ring', number: 1}" in seen, "SELECT", seen)
check("(1 rows)" in seen, "row count", seen)
seen = ask("EXPAND ON")
seen = ask("SELECT part, value FROM rows;")
check("@ Row 1" in seen, "EXPAND", seen)
ask("EXPAND OFF")
done("types")

seen = ask("SELEC * FROM rows;")
check("SyntaxException" in seen and "line 1" in seen, "syntax error", seen)
seen = ask("SELECT * FROM nothere;")
check("InvalidRequest" in seen and "nothere" in seen, "unknown table", seen)
seen = ask("SELECT * FROM rows WHERE value = 'x';")
check("ALLOW FILTERING" in seen, "filtering", seen)
seen = ask(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}};")
check("AlreadyExists" in seen or "already exists" in seen, "existing keyspace", seen)
done("errors")

seen = ask("CONSISTENCY QUORUM")
check("QUORUM" in seen, "CONSISTENCY", seen)
seen = ask("SELECT count(*) FROM rows;")
check("1" in seen and "(1 rows)" in seen, "count", seen)
ask(f"CREATE KEYSPACE {keyspace}_three WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}};")
ask(f"CREATE TABLE {keyspace}_three.t (a int PRIMARY KEY);")
seen = ask(f"INSERT INTO {keyspace}_three.t (a) VALUES (1);")
check("Unavailable" in seen and "required_replicas" in seen, "QUORUM of three on one node", seen)
ask("CONSISTENCY ONE")
seen = ask(f"INSERT INTO {keyspace}_three.t (a) VALUES (1);")
check("Unavailable" not in seen, "ONE of three on one node", seen)
ask(f"DROP KEYSPACE {keyspace}_three;")
seen = ask("SERIAL CONSISTENCY LOCAL_SERIAL")
check("LOCAL_SERIAL" in seen, "SERIAL CONSISTENCY", seen)
done("consistency")

table = pathlib.Path(home) / "in.csv"
with table.open("w", newline="") as file:
    csv.writer(file).writerows([i % 10, i, f"value, '{i}'"] for i in range(2_000))
ask("CREATE TABLE copied (part int, clust int, value text, PRIMARY KEY (part, clust));")
seen = ask(f"COPY copied (part, clust, value) FROM '{table}';")
check("2000 rows imported" in seen, "COPY FROM", seen)
out = pathlib.Path(home) / "out.csv"
seen = ask(f"COPY copied (part, clust, value) TO '{out}';")
check("2000 rows exported" in seen, "COPY TO", seen)
with out.open(newline="") as file:
    rows = sorted((int(a), int(b), c) for a, b, c in csv.reader(file))
with table.open(newline="") as file:
    expected = sorted((int(a), int(b), c) for a, b, c in csv.reader(file))
check(rows == expected, "COPY both ways", str(rows[:3]))
done("copy")

ask("PAGING 50")
shell.sendline("SELECT part, clust FROM copied;")
pages = 0
while shell.expect([r"---MORE---", r"cqlsh:\w+> "]) == 0:
    pages += 1
    shell.sendline("")
check(pages == 2_000 // 50 - 1 or pages == 2_000 // 50, f"{pages} pages", shell.before)
check("(2000 rows)" in shell.before, "rows over pages", shell.before)
done("paging")

ask("TRACING ON")
seen = ask("SELECT part FROM rows LIMIT 1;")
check("(1 rows)" in seen, "TRACING", seen)
ask("TRACING OFF")
script = pathlib.Path(home) / "script.cql"
script.write_text("INSERT INTO rows (part, clust) VALUES (9, 9);\nSELECT part, clust FROM rows WHERE part = 9;\n")
seen = ask(f"SOURCE '{script}'")
check("(1 rows)" in seen, "SOURCE", seen)
shell.sendline("EXIT")
shell.expect(pexpect.EOF)
answer = subprocess.run(command + ["-e", f"SELECT part FROM {keyspace}.rows WHERE part = 9"], env=environment,
                        capture_output=True, text=True, timeout=60)
check(answer.returncode == 0 and "(1 rows)" in answer.stdout, "-e", answer.stdout + answer.stderr)
done("script")
