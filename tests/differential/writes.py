"""INSERT, UPDATE, DELETE, BATCH, ALTER and TRUNCATE."""

import struct

from restrictions import Restrictions
from schemas import COUNTER, column_type
from statements import HOLE, TABLE, UNSET_VALUE, Column, Fragment, Part, Schema, Step, join
from values import NULL, POOLS, Type, Value, random_value

TIMESTAMPS = [10, 10, 20, 20, 30, 40]
TTLS = [1000, 50000, 100000]


class Writes(Restrictions):
    """Writes. Few timestamps: ties are the point."""

    def using(self, ttl=True, always=False):
        out = []
        rare = 0.04 if self.counter else 0.01  # what counters refuse
        if not self.counter and (always or self.chance(0.85)) or self.chance(rare):
            out.append(Fragment('TIMESTAMP ') + self.hole(self.stamp(self.pick(TIMESTAMPS))))
        if ttl and not self.counter and self.chance(0.2) or self.chance(rare):
            x = self.r.random()
            n = (
                1
                if self.short and x < 0.5
                else self.pick(TTLS) if x < 0.8 else self.pick([0, 0, -1, 630720001, 630720000, 2147483647])
            )
            v = Value(str(n), struct.pack('>i', n))
            out.append(
                Fragment('TTL ')
                + (
                    self.hole(v)
                    if x < 0.97 or not self.prep
                    else Fragment(HOLE, [(self.pick([UNSET_VALUE, Value('', None)]), True)])
                )
            )
        return Part(' USING ', out, ' AND ')

    @staticmethod
    def stamp(n):
        return Value(str(n), struct.pack('>q', n), '', True, n)

    def op(self, kind, parts, **more):
        return Step(kind, parts, prepared=self.prep, ts=self.pick(TIMESTAMPS), **more)

    def insert(self):
        cols = self.schema.of('pk') + self.schema.of('ck')
        others = self.schema.of('static', 'regular')
        if self.chance(0.03):
            cols = cols[:-1]
        if self.chance(0.1) and self.schema.of('static'):
            cols, others = self.schema.of('pk'), self.schema.of('static')
        elif self.chance(0.5):
            others = [c for c in others if self.chance(0.6)]
        if self.chance(0.12):
            return self.insert_json(cols, others)
        pairs = [
            (Fragment(c.name, [], frozenset([c.name])), self.of(c, 0.0 if c.kind in ('pk', 'ck') else 0.15))
            for c in cols + others
        ]
        pairs += pairs[:1] if self.chance(0.005) else []
        return self.op(
            'insert', [Part('INSERT INTO %s (' % TABLE, pairs, least=1, pairs=True, suffix=')'), self.using()]
        )

    def insert_json(self, cols, others):
        body = []
        for c in cols + others:
            v = (
                NULL
                if c.kind not in ('pk', 'ck') and self.chance(0.1)
                else self.value(c)
            )
            name = (
                c.name.strip('"').replace('""', '"')
                if c.name[0] != '"'
                else '\\"%s\\"' % c.name[1:-1].replace('""', '\\"')
            )
            body.append('"%s": %s' % (name, v.js or 'null'))
        text = "'{%s}'" % ', '.join(body).replace("'", "''")
        tail = self.pick(['', '', ' DEFAULT NULL', ' DEFAULT UNSET'])
        raw = text[1:-1].replace("''", "'").encode()
        f = Fragment('INSERT INTO %s JSON ' % TABLE) + self.hole(Value(text, raw)) + tail
        return self.op(
            'insert',
            [Part('', [Fragment(f.text, f.vals, frozenset(c.name for c in cols + others))], least=1), self.using()],
        )

    def assignment(self, c):
        here, n, t, x = frozenset([c.name]), c.name, c.type, self.r.random()
        if t.name == 'counter':
            return (
                Fragment('%s = %s %s ' % (n, n, self.pick('+-')), [], here) + self.any(COUNTER)
                if x < 0.8
                else Fragment('%s %s= ' % (n, self.pick('+-')), [], here) + self.any(COUNTER)
            )
        if t.collection and (t.multi or x > 0.97) and x < 0.75:
            return self.collection_assignment(c)
        if t.name == 'udt' and (t.multi or x > 0.97) and x < 0.6:
            i = self.r.randrange(len(t.args))
            return Fragment('%s.%s = ' % (n, t.fields[i]), [], here) + self.hole(
                random_value(self.r, t.args[i], 0.2), t.args[i]
            )
        if x > 0.985:
            return Fragment('%s = %s + ' % (n, n), [], here) + self.any(t)
        return Fragment(n + ' = ', [], here) + self.of(c, 0.12)

    def collection_assignment(self, c):
        n, t, here = c.name, c.type, frozenset([c.name])
        k = self.r.randrange(5)
        if k == 0:
            return Fragment('%s = %s + ' % (n, n), [], here) + self.of(c, 0.05)
        if k == 1:
            e = Type('set', (t.args[0],)) if t.name == 'map' else t
            return Fragment('%s = %s - ' % (n, n), [], here) + self.hole(random_value(self.r, e), e)
        if k == 2 and t.name == 'list':
            return Fragment(n + ' = ', [], here) + self.of(c) + (' + ' + n)
        if k == 3:
            return Fragment('%s %s= ' % (n, self.pick('++-')), [], here) + self.of(c)
        key, val = (t.args[0], t.args[1]) if t.name == 'map' else (Type('int'), t.args[0])
        idx = self.any(key) if t.name == 'map' else self.hole(self.pick(POOLS['int'][:4]))
        return Fragment(n + '[', [], here) + idx + '] = ' + self.hole(random_value(self.r, val, 0.15), val)

    def row_where(self):
        rels = self.partition(single=self.chance(0.85))
        cks = self.schema.of('ck')
        if self.chance(0.85):
            return rels + [self.rel(c, ['=', '=', '=', '=', '=', 'IN']) for c in cks]
        return rels + self.clustering()

    def update(self):
        statics = self.schema.of('static')
        kinds = self.pick([['regular'], ['static'], ['regular', 'static']]) if statics else ['regular']
        cols = [c for c in self.schema.of(*kinds)]
        if not cols:
            return self.insert()
        chosen = [self.pick(cols) for _ in range(self.r.choice([1, 1, 2, 3]))]
        if self.chance(0.99):
            chosen = list({c.name: c for c in chosen}.values())
        elif self.chance(0.5):
            chosen = chosen[:1] * self.r.choice([2, 2, 3])
        where = self.partition(True) if kinds == ['static'] and self.chance(0.8) else self.row_where()
        return self.op(
            'update',
            [
                Part('UPDATE ' + TABLE, [Fragment('')]),
                self.using(),
                Part(' SET ', [self.assignment(c) for c in chosen], least=1),
                Part(' WHERE ', where, ' AND '),
            ],
        )

    def delete(self):
        x, what = self.r.random(), []
        where = self.row_where()
        if x < 0.35:
            cols = self.schema.of('regular', 'static')
            for c in [self.pick(cols) for _ in range(self.r.choice([1, 1, 2]))] if cols else []:
                here, t = frozenset([c.name]), c.type
                if t.collection and self.chance(0.6):
                    k = self.any(t.args[0]) if t.name != 'list' else self.hole(self.pick(POOLS['int'][:4]))
                    what.append(Fragment(c.name + '[', [], here) + k + ']')
                elif t.name == 'udt' and self.chance(0.6):
                    what.append(Fragment('%s.%s' % (c.name, self.pick(t.fields)), [], here))
                else:
                    what.append(Fragment(c.name, [], here))
            if all(f.text[0] == 's' for f in what) and self.chance(0.8):
                where = self.partition(True)
        elif x < 0.55:
            where = self.partition()
        elif x < 0.85:
            where = self.partition(self.chance(0.9)) + self.clustering()
        return self.op(
            'delete',
            [
                Part('DELETE', [Fragment('')]),
                Part(' ', what),
                Part(' FROM ' + TABLE, [Fragment('')]),
                self.using(ttl=False),
                Part(' WHERE ', where, ' AND '),
            ],
        )

    def modification(self):
        return (
            self.pick([self.insert, self.insert, self.update, self.update, self.delete])()
            if not self.counter
            else self.pick([self.update] * 8 + [self.delete, self.insert])()
        )

    def one_row(self):
        """Updates of one row, most of them of the same collections: their order shows."""
        where = self.partition(True) + [self.rel(c, ['=']) for c in self.schema.of('ck')]
        cols = [c for c in self.schema.of('regular', 'static') if c.type.multi] or self.schema.of('regular', 'static')
        chosen = self.r.sample(cols, min(len(cols), 2))

        def delete():
            c = self.pick(chosen)
            index = self.hole(self.pick(POOLS['int'][:3])) if c.type.name == 'list' else None
            what = Fragment(c.name + '[', [], frozenset([c.name])) + index + ']' if index else Fragment(c.name)
            parts = [
                Part('DELETE ', [what], least=1),
                Part(' FROM ' + TABLE, [Fragment('')]),
                Part(' WHERE ', where, ' AND '),
            ]
            return self.op('delete', parts)

        def update():
            assigned = self.pick([chosen[:1], chosen[-1:], chosen])
            parts = [
                Part('UPDATE ' + TABLE, [Fragment('')]),
                Part(' SET ', [self.assignment(c) for c in assigned], least=1),
                Part(' WHERE ', where, ' AND '),
            ]
            return self.op('update', parts)

        return [delete() if self.chance(0.15) else update() for _ in range(self.r.randint(2, 4))]

    def batch(self):
        native = self.chance(0.5)
        self.prep = self.chance(0.5)
        if self.schema.of('regular', 'static') and self.chance(0.4):
            subs = self.one_row()
        else:
            subs = [self.modification() for _ in range(self.r.randint(1, 5))]
        kind = 2 if self.counter and self.chance(0.9) else self.r.choice([0, 1]) if self.chance(0.98) else 2
        if native:
            for s in subs:
                s.prepared = (
                    s.prepared
                    and self.chance(0.7)
                    or any(not v.lit for v, _ in join('', [p.whole() for p in s.parts]).vals)
                )
            return Step('batch', subs=subs, batch=kind, ts=self.pick(TIMESTAMPS))
        using = self.using(ttl=False) if self.chance(0.2) else Part('', [])
        if using.frags and self.chance(0.9):
            for s in subs:
                for p in s.parts:
                    if p.prefix == ' USING ':
                        p.frags = [f for f in p.frags if not f.text.startswith('TIMESTAMP')]
        frags = []
        for s in subs:
            f = join('', [p.whole() for p in s.parts])
            frags.append(Fragment(f.text, f.vals, frozenset(s.columns())))
        return self.op(
            'textbatch',
            [
                Part('BEGIN %sBATCH' % ['', 'UNLOGGED ', 'COUNTER '][kind], [Fragment('')]),
                using,
                Part(' ', frags, '; ', least=0, suffix='; APPLY BATCH'),
            ],
        )

    def alter(self):
        s, x = self.schema, self.r.random()
        cols = list(s.cols)
        if s.udts and self.chance(0.2):
            t = self.pick(s.udts)
            more = ['ADD g%d int' % self.r.randint(0, 2)] * 3 + ['RENAME %s TO %s_r' % (t.fields[0], t.fields[0])]
            return self.op('alter', [Part('ALTER TYPE %s %s' % (t.udt, self.pick(more)), [Fragment('')])], schema=None)
        if x < 0.5:
            c = Column(
                'a%d' % self.r.randint(0, 2),
                column_type(self.r, s.udts, self.avoid),
                self.pick(['regular', 'regular', 'static']),
            )
            text = 'ALTER TABLE %s ADD %s %s%s' % (TABLE, c.name, c.type.cql(), ' static' if c.kind == 'static' else '')
            if c.name not in self.domain:
                cols.append(c)
                self.fill(c)
        elif x < 0.85:
            c = self.pick(cols)
            text = 'ALTER TABLE %s DROP %s' % (TABLE, c.name) + self.pick(['', ' USING TIMESTAMP 15'])
            if c.kind in ('regular', 'static'):
                cols.remove(c)
        else:
            c = self.pick(cols)
            text = 'ALTER TABLE %s RENAME %s TO %s_r' % (
                TABLE,
                c.name,
                c.name.strip('"').replace(' ', '').replace('"', ''),
            )
            return self.op('alter', [Part(text, [Fragment('')])], schema=None)
        self.schema = Schema(cols, s.udts, s.options)
        return self.op('alter', [Part(text, [Fragment('')])], schema=self.schema)

    def write(self):
        self.prep = self.chance(0.4)
        if self.chance(0.08):
            return self.batch()
        if self.chance(0.004):
            return self.op('truncate', [Part('TRUNCATE ' + TABLE, [Fragment('')])])
        return self.modification()
