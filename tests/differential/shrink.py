"""From a case that shows a difference to the smallest that still does."""

import re
import time
from dataclasses import replace

from compare import DATA
from server import WRITES
from statements import Schema


class Shrinker:
    """Makes the last op, then what comes before it, then the table as small as the difference allows. Creating tables
    is slow, so as much as possible happens on the table at hand."""

    def __init__(self, tester, schema, table, ops, answer, deadline):
        self.t, self.schema, self.table, self.ops, self.deadline = tester, schema, table, ops, deadline
        self.kind, self.answer, self.live, self.first = answer[0], answer, True, schema
        self.shared = not any(c.type.name == 'counter' for c in schema.cols) and not any(o.kind == 'alter' for o in ops)

    def holds(self, schema, ops):
        if time.time() > self.deadline:
            return False
        if self.live:
            got = self.t.replay(self.table, ops[-1:], self.kind)
        elif self.shared and schema is self.first:
            self.t.reset(self.table, schema)
            got = self.t.replay(self.table, ops, self.kind)
        else:
            got = self.t.fresh(schema, ops, self.kind)
        if got:
            self.schema, self.ops, self.answer = schema, ops, got
        return bool(got)

    def run(self):
        before = [o for o in self.ops[:-1] if o.kind in WRITES or o.kind in ('flush', 'restart', 'sleep')]
        self.ops = before + self.ops[-1:]
        if self.ops[-1].kind not in WRITES and not self.holds(self.schema, self.ops):
            return None
        if self.kind[0] not in DATA or self.ops[-1].kind != 'dump':
            last = len(self.ops) - 1
            self.plain(last)
            self.parts(last)
        self.live = False
        if (
            self.holds(self.schema, self.ops[-1:])
            or self.kind[0] not in DATA
            and any(self.holds(self.schema, self.ops[-n:]) for n in (2, len(self.ops)))
        ):
            pass
        elif not self.holds(self.schema, self.ops):
            return None
        self.halve()
        for i in reversed(range(len(self.ops) - 1)):
            self.plain(i)
            self.parts(i)
        if self.kind[0] in DATA:
            self.parts(len(self.ops) - 1)
        self.unused_columns()
        return self.schema, self.ops, self.answer

    def halve(self):
        size = max(1, (len(self.ops) - 1) // 2)
        while len(self.ops) > 1 and time.time() < self.deadline:
            i = len(self.ops) - 1
            while i > 0:
                i = max(0, i - size)
                self.holds(self.schema, self.ops[:i] + self.ops[min(i + size, len(self.ops) - 1) :])
            if size == 1:
                break
            size //= 2

    def swap(self, i, op):
        return self.ops[:i] + [op] + self.ops[i + 1 :]

    def plain(self, i):
        """Literals instead of bound values, no paging."""
        if self.ops[i].page:
            self.holds(self.schema, self.swap(i, replace(self.ops[i], page=None)))
        if self.ops[i].prepared:
            self.holds(self.schema, self.swap(i, self.ops[i].literal()))

    def parts(self, i):
        """One piece after the other of one op."""
        if self.ops[i].kind == 'batch':
            for k in reversed(range(len(self.ops[i].subs))):
                op = self.ops[i]
                if len(op.subs) > 1:
                    self.holds(self.schema, self.swap(i, replace(op, subs=op.subs[:k] + op.subs[k + 1 :])))
            return
        for j in range(len(self.ops[i].parts)):
            for k in reversed(range(len(self.ops[i].parts[j].frags))):
                op, p = self.ops[i], self.ops[i].parts[j]
                fixed = (
                    not p.least
                    and not isinstance(p.frags[k], tuple)
                    and not p.frags[k].text
                    and 'FILTERING' not in p.prefix
                )
                if len(p.frags) > p.least and not fixed:
                    q = replace(p, frags=p.frags[:k] + p.frags[k + 1 :])
                    self.holds(self.schema, self.swap(i, replace(op, parts=op.parts[:j] + [q] + op.parts[j + 1 :])))

    def unused_columns(self):
        text = ' '.join(o.show() for o in self.ops)
        pks = [c for c in self.schema.cols if c.kind == 'pk']

        def needed(c):
            return (
                re.search(r'(?<![\w"])%s(?![\w"])' % re.escape(c.name), text)
                or c.kind == 'pk'
                and (pks[0].name == c.name or 'token(' in text)
            )

        idle = [c.name for c in self.schema.cols if not needed(c)]
        if idle and not self.drop(idle):
            for name in idle:
                self.drop([name])
        if self.schema.options:
            self.holds(Schema(self.schema.cols, self.schema.udts, []), self.ops)
        used = ' '.join(c.type.cql() for c in self.schema.cols)
        udts = [u for u in self.schema.udts if u.udt in used]
        inner = ' '.join(a.cql() for u in udts for a in u.args)
        self.schema.udts = [u for u in self.schema.udts if u.udt in used or u.udt in inner]

    def drop(self, names):
        schema = Schema([c for c in self.schema.cols if c.name not in names], self.schema.udts, self.schema.options)
        ops = self.ops
        for n in names:
            ops = [self.without(o, n) for o in ops]
        return self.holds(schema, ops)

    def without(self, op, name):
        if op.kind == 'batch':
            return replace(op, subs=[self.without(s, name) for s in op.subs])
        parts = []
        for p in op.parts:
            keep = [f for f in p.frags if not any(name in g.cols for g in (f if isinstance(f, tuple) else (f,)))]
            parts.append(replace(p, frags=keep if len(keep) >= p.least else p.frags))
        return replace(op, parts=parts)
