"""Runs cases on both servers; sorts what differs into what is known and what is to be reported."""

import json
import os
import re
import time
from collections import Counter

from client import Answer, Failure
from compare import DATA, differ, normal, text_of
from generate import Generator
from server import WRITES
from shrink import Shrinker


class Tester:
    def __init__(self, a, b, args):
        self.a, self.b, self.args = a, b, args
        self.tables, self.avoid = 0, set()
        self.stats, self.buckets, self.known = Counter(), {}, self.load_known()
        self.known_hits = Counter()
        self.out = open(args.out, 'a') if args.out else None

    def load_known(self):
        path = self.args.known
        if not path or not os.path.exists(path):
            return []
        known = json.load(open(path))
        self.avoid = {k['id'] for k in known if k.get('avoid')}
        return [(k['id'], re.compile(k['match'], re.S)) for k in known if k.get('match')]

    def make(self, schema):
        """The table on both sides; its name, or the two answers where they differ."""
        self.tables += 1
        table = 't%d' % self.tables
        for cql in schema.create_types() + [schema.create(table)]:
            x, y = self.a.conn.query(cql), self.b.conn.query(cql)
            if isinstance(x, Failure) or isinstance(y, Failure):
                return None, (cql, x, y)
        return table, None

    def fresh(self, schema, ops, kind):
        """Do ops, on a new table, end in this kind of difference? (kind, answer A, answer B) or None."""
        table, bad = self.make(schema)
        return self.replay(table, ops, kind) if table else None

    def reset(self, table, schema):
        for side in (self.a, self.b):
            side.shift += 1000
            side.empty(table, schema)

    def replay(self, table, ops, kind):
        for i, op in enumerate(ops):
            x, y = self.step(op, table)
            if i == len(ops) - 1:
                return (
                    (kind, x, y)
                    if any(k == kind[0] and (k in DATA or normal(d) == normal(kind[1])) for k, d in differ(op, x, y))
                    else None
                )
            # an earlier write that only one of them takes would blur what is being shrunk
            if kind[0] in DATA and op.kind in WRITES and isinstance(x, Failure) != isinstance(y, Failure):
                return None

    def step(self, op, table):
        if op.kind == 'sleep':
            time.sleep(2.5)
        return self.a.run(op, table), self.b.run(op, table)

    def case(self, seed):
        schema = Generator(seed, str(seed), self.avoid).schema
        ops = Generator(seed, str(seed), self.avoid).case(self.args.writes, self.args.reads)
        table, bad = self.make(schema)
        self.stats['cases'] += 1
        if table is None:
            cql, x, y = bad
            if isinstance(x, Failure) and isinstance(y, Failure):
                self.stats['schema refused by both'] += 1
            else:
                self.judge_schema(seed, cql, x, y)
            return
        start, apart = 0, False
        for i, op in enumerate(ops):
            if op.kind == 'reset':
                self.reset(table, schema)
                start, apart = i + 1, False
            if apart or op.kind == 'reset':
                continue
            x, y = self.step(op, table)
            self.stats[op.kind] += 1
            self.stats['refused by both' if isinstance(x, Failure) and isinstance(y, Failure) else 'done'] += 1
            if op.kind == 'select' and isinstance(x, Answer) and isinstance(y, Answer):
                self.stats['select answered'] += 1
                self.stats['select with rows'] += bool(x.rows)
                self.stats['select with several pages'] += getattr(x, 'pages', 1) > 1
                self.stats['rows compared'] += len(x.rows)
            kinds = differ(op, x, y)
            for kind in kinds:
                self.judge(seed, schema, table, ops[start : i + 1], kind, x, y)
            if (
                any(k == 'contents' for k, _ in kinds)
                or op.kind in WRITES
                and isinstance(x, Failure) != isinstance(y, Failure)
            ):
                apart = True  # from here on the two hold different data

    def judge_schema(self, seed, cql, x, y):
        kind = 'refused by A' if isinstance(x, Failure) else 'refused by B'
        sig = '%s | schema | %s | %s' % (kind, normal(text_of(x)), normal(text_of(y)))
        self.stats['differences'] += 1
        for ident, pattern in self.known:
            if pattern.search('\n'.join([kind, cql, 'A: ' + text_of(x), 'B: ' + text_of(y)])):
                self.known_hits[ident] += 1
                return
        self.buckets[sig] = self.buckets.get(sig, 0) + 1
        if self.buckets[sig] <= self.args.per_bucket:
            self.report(seed, kind, cql, x, y, [])

    def signature(self, kind, op, x, y):
        if kind[1] and kind[0] not in DATA:
            return '%s | %s' % (kind[0], normal(kind[1]))
        if isinstance(x, Failure) or isinstance(y, Failure):
            return '%s | %s | %s' % (
                kind[0],
                normal(text_of(x)) if isinstance(x, Failure) else 'ok',
                normal(text_of(y)) if isinstance(y, Failure) else 'ok',
            )
        text = normal(op.show())
        words = re.findall(r'[A-Za-z_]{3,}\(|\b[A-Z][A-Z ]+\b|JSON|\.\.|\[', text)
        if op.kind == 'dump':
            return '%s | %s' % kind
        return '%s | %s | %s' % (kind[0], kind[1], ' '.join(sorted(set(w.strip() for w in words))))

    def recognise(self, kind, schema, ops, x, y):
        """The known difference that this is. ops: what led to it, where it has been shrunk."""
        blob = '\n'.join(
            [
                ': '.join(kind),
                schema.create('t'),
                *[o.show() for o in ops],
                'A: ' + text_of(x, y),
                'B: ' + text_of(y, x),
            ]
        )
        for ident, pattern in self.known:
            if pattern.search(blob):
                return ident
        return None

    def judge(self, seed, schema, table, ops, kind, x, y):
        self.stats['differences'] += 1
        ident = self.recognise(kind, schema, ops[-1:], x, y)
        if ident:
            self.known_hits[ident] += 1
            return
        sig = self.signature(kind, ops[-1], x, y)
        if self.buckets.get(sig, 0) >= self.args.per_bucket:
            self.buckets[sig] += 1
            return
        self.buckets[sig] = self.buckets.get(sig, 0) + 1
        if self.args.shrink:
            shrunk = Shrinker(self, schema, table, ops, (kind, x, y), time.time() + self.args.shrink_seconds).run()
            if shrunk is None:
                self.stats['not reproduced'] += 1
                self.report(seed, kind[0] + ' (NOT REPRODUCED)', ops[-1].show(), x, y, [schema.create('t')])
                return
            schema, ops, (kind, x, y) = shrunk
            ident = self.recognise(kind, schema, ops, x, y)
            if ident:
                self.known_hits[ident] += 1
                self.buckets[sig] -= 1
                return
            small = self.signature(kind, ops[-1], x, y)
            if small != sig:
                self.buckets[small] = self.buckets.get(small, 0) + 1
                if self.buckets[small] > self.args.per_bucket:
                    return
        self.report(
            seed,
            ': '.join(kind),
            ops[-1].show(),
            x,
            y,
            schema.create_types() + [schema.create('t')] + [o.show() for o in ops[:-1]],
        )

    def report(self, seed, kind, statement, x, y, before):
        text = '\n'.join(
            ['=' * 100, 'seed %s: %s' % (seed, kind)]
            + before
            + [
                '> ' + statement,
                'A %s: %s' % (self.a.name, text_of(x, y)),
                'B %s: %s' % (self.b.name, text_of(y, x)),
                '',
            ]
        )
        if self.out:
            self.out.write(text.encode('utf8', 'backslashreplace').decode() + '\n')
            self.out.flush()
        else:
            print(text)
