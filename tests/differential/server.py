"""One of the two servers: it takes each step of a case, with all its pages."""

import subprocess
import time

from client import Answer, Connection, Failure

# Steps that change data.
WRITES = {'insert', 'update', 'delete', 'batch', 'textbatch', 'truncate', 'alter', 'again'}


class Server:
    """One server: runs an op, with all its pages."""

    def __init__(self, name, host, port, version, keyspace, flush=None, restart=None):
        self.name, self.keyspace, self.flush_cmd, self.args, self.shift = (
            name,
            keyspace,
            flush,
            (host, port, version),
            0,
        )
        self.restart_cmd = restart
        self.held = {}  # statements that were prepared once and for all, by their text
        self.conn = Connection(*self.args)

    def setup(self):
        self.must(
            "CREATE KEYSPACE %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}" % self.keyspace
        )
        self.must('USE ' + self.keyspace)

    def must(self, cql):
        a = self.conn.query(cql)
        if isinstance(a, Failure):
            raise RuntimeError('%s: %s: %s' % (self.name, cql, a))
        return a

    def reconnect(self):
        for _ in range(100):
            try:
                self.conn = Connection(*self.args)
                self.conn.query('USE ' + self.keyspace)
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(self.name + ' is gone')

    def run(self, op, table, paged=True):
        try:
            return self._run(op, table, paged)
        except (OSError, EOFError) as e:
            self.reconnect()
            return Failure('connection', '%s %s' % (type(e).__name__, e))

    def _run(self, op, table, paged):
        if op.kind == 'flush':
            if self.flush_cmd:
                subprocess.run(self.flush_cmd, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return Answer('void')
        if op.kind == 'restart':
            if self.restart_cmd:
                subprocess.run(self.restart_cmd, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.reconnect()
            return Answer('void')
        if op.kind == 'sleep':
            return Answer('void')
        if op.kind in ('hold', 'again'):
            return self.run_held(op, table)
        ts = None if op.ts is None else op.ts + self.shift
        if op.kind == 'batch':
            subs = []
            for s in op.subs:
                text, vals = s.render(table, self.shift)
                if s.prepared and vals:
                    p = self.conn.prepare(text)
                    if isinstance(p, Failure):
                        return p
                    if len(p.binds) != len(vals):
                        return Failure('binds', '%d' % len(p.binds))
                    subs.append((p, vals))
                else:
                    subs.append((text, vals))
            return self.conn.batch(op.batch, subs, ts)
        text, vals = op.render(table, self.shift)
        prepared = None
        if op.prepared:
            prepared = self.conn.prepare(text, again=op.kind == 'select')
            if isinstance(prepared, Failure):
                return prepared
        size, state, out, pages = op.page if paged else None, None, None, 0
        while True:
            if prepared:
                a = self.conn.execute(prepared, vals, size, state, ts)
            else:
                a = self.conn.query(text, vals, size, state, ts)
            if isinstance(a, Failure) or a.kind != 'rows':
                break
            if out is None:
                out = a
            else:
                out.rows += a.rows
            pages += 1
            if a.state is None or pages > 300:
                a = out
                a.pages = pages
                break
            state = a.state
        if isinstance(a, Answer) and prepared:
            a.binds, a.pk = prepared.binds, prepared.pk
        return a

    def run_held(self, op, table):
        """Prepares a statement, or executes it as drivers do that prepared it long ago and don't ask for metadata."""
        held = op.subs[0]
        text, vals = held.render(table, self.shift)
        if op.kind == 'hold' or text not in self.held:
            prepared = self.conn.prepare(text, again=True)
            # Some refuse a statement only when it is executed.
            if isinstance(prepared, Failure):
                return prepared if op.kind == 'again' else Answer('void')
            self.held[text] = prepared
        if op.kind == 'hold':
            return Answer('void')
        ts = None if held.ts is None else held.ts + self.shift
        answer, self.held[text] = self.conn.execute_held(self.held[text], vals, ts)
        return answer

    def empty(self, table, schema):
        """Deletes every partition just below the timestamps to come: cheaper than a new table."""
        names = [c.name for c in schema.of('pk')]
        found = self.conn.query('SELECT DISTINCT %s FROM %s' % (', '.join(names), table))
        delete = 'DELETE FROM %s USING TIMESTAMP %d WHERE %s' % (
            table,
            self.shift - 1,
            ' AND '.join(n + ' = ?' for n in names),
        )
        for row in getattr(found, 'rows', []):
            a = self.conn.query(delete, list(row))
            if isinstance(a, Failure):
                raise RuntimeError('%s: cannot empty %s: %s' % (self.name, table, a))
