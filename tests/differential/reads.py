"""SELECT."""

import struct

from restrictions import Restrictions
from statements import TABLE, Fragment, Part, Step
from values import NUMERIC, POOLS, Type, Value, random_value


class Reads(Restrictions):
    """Selections, functions, aggregates, and all clauses of SELECT."""

    def dump(self):
        """Everything, with timestamps and TTLs."""
        items = [Fragment(c.name, [], frozenset([c.name])) for c in self.schema.cols]
        for c in self.schema.of('static', 'regular'):
            if c.type.name != 'counter':
                items += [Fragment('%s(%s)' % (f, c.name), [], frozenset([c.name])) for f in ('writetime', 'ttl')]
        return Step('dump', [Part('SELECT ', items, least=1), Part(' FROM ' + TABLE, [Fragment('')])])

    def term(self, depth=0):
        """Something that can be selected."""
        c = self.pick(self.schema.cols)
        here, n, t, x = frozenset([c.name]), c.name, c.type, self.r.random()
        if depth == 0 and x < 0.45:
            return Fragment(n, [], here)
        if x < 0.55 and t.args:
            return self.element(c)
        if x < 0.63:
            f = self.pick(['writetime', 'ttl', 'maxwritetime', 'writetime'])
            return Fragment('%s(%s)' % (f, n), [], here)
        if x < 0.74:
            return self.function(c, depth)
        if x < 0.84:
            return self.arithmetic(c)
        if x < 0.9:
            return Fragment('CAST(%s AS %s)' % (n, self.pick(list(POOLS))), [], here)
        if x < 0.94:
            return Fragment('token(%s)' % ', '.join(p.name for p in self.schema.of('pk')))
        if x < 0.95:
            same = [d.name for d in self.schema.cols if d.type == t]
            names = [self.pick(same) for _ in range(self.r.randint(1, 3))]
            return Fragment('(%s<%s>)[%s]' % (self.pick(['list', 'list', 'set']), t.freeze().cql(), ', '.join(names)))
        if x < 0.96:
            k = Type(self.pick(list(POOLS)))
            return Fragment('(%s)' % k.cql()) + self.hole(random_value(self.r, k))
        return Fragment(n, [], here)

    def element(self, c):
        here, t, n = frozenset([c.name]), c.type, c.name
        if t.name == 'udt':
            return Fragment('%s.%s' % (n, self.pick(t.fields)), [], here)
        e = t.args[0]
        x = self.r.random()
        if x < 0.6:
            return Fragment(n + '[', [], here) + self.any(e) + ']'
        if x < 0.7:
            f = Fragment('writetime(%s[' % n, [], here) + self.any(e) + '])'
            return f
        lo, hi = [self.any(e) if self.chance(0.75) else Fragment('') for _ in range(2)]
        f = Fragment(n + '[', [], here) + lo + ' .. ' + hi + ']'
        return self.pick(['writetime(', 'ttl(', 'maxwritetime(']) + f + ')' if self.chance(0.2) else f

    def function(self, c, depth):
        here, t, n = frozenset([c.name]), c.type, c.name
        arg = self.term(1) if depth == 0 and self.chance(0.15) else Fragment(n, [], here)
        choices = ['to_json', 'toJson', 'as_blob']
        if t.name in NUMERIC:
            choices += ['abs', 'exp', 'log', 'log10', 'round']
        if t.name in ('timestamp', 'date', 'timeuuid'):
            choices += [
                'to_date',
                'to_timestamp',
                'to_unix_timestamp',
                'toDate',
                'toUnixTimestamp',
                'min_timeuuid',
                'maxTimeuuid',
                'floor',
            ]
        if t.collection:
            choices += ['collection_count', 'collection_min', 'collection_max', 'collection_sum', 'collection_avg']
        if t.name == 'map':
            choices += ['map_keys', 'map_values']
        if t.name == 'vector':
            choices += ['similarity_cosine', 'similarity_euclidean', 'similarity_dot_product']
        if self.chance(0.1):
            choices += [
                'mask_null',
                'mask_default',
                'mask_replace',
                'mask_inner',
                'mask_outer',
                'blob_as',
                'abs',
                'floor',
            ]
        f = self.pick(choices)
        if f == 'as_blob':
            return '%s(' % (self.pick(['%s_as_blob', '%sAsBlob']) % t.name) + arg + ')'
        if f == 'blob_as':
            return 'blob_as_%s(' % self.pick(list(POOLS)) + arg + ')'
        if f == 'floor':
            return 'floor(' + arg + ', %s)' % self.pick(['1d', '1h', '1mo', '2d', '1y', "1h, '2020-01-01'"])
        if f.startswith('similarity'):
            return f + '(' + arg + ', ' + self.any(t) + ')'
        if f == 'mask_replace':
            return 'mask_replace(' + arg + ', ' + self.any(t) + ')'
        if f in ('mask_inner', 'mask_outer'):
            return f + '(' + arg + self.pick([', 1, 1)', ', null, 1)', ', 1, null)'])
        return f + '(' + arg + ')'

    def arithmetic(self, c):
        op = self.pick('+-*/%')
        here, n, t = frozenset([c.name]), c.name, c.type
        x = self.r.random()
        if x < 0.1:
            return Fragment('-' + n, [], here)
        if t.name in ('timestamp', 'date') and x < 0.7:
            return Fragment(
                '%s %s %s' % (n, self.pick('+-'), self.pick(['1d', '1mo', '2h', '1y', '36h', '-1d'])), [], here
            )
        same = [d for d in self.schema.cols if d.type.name in NUMERIC]
        if same and x < 0.5:
            d = self.pick(same)
            return Fragment('%s %s %s' % (n, op, d.name), [], here | {d.name})
        other = t if x < 0.75 else Type(self.pick(NUMERIC))
        return Fragment('%s %s ' % (n, op), [], here) + self.any(other)

    def aggregate(self):
        x = self.r.random()
        if x < 0.25:
            return Fragment(self.pick(['count(*)', 'count(*)', 'count(1)', 'COUNT(*)']))
        f = self.pick(['count', 'min', 'max', 'sum', 'avg', 'min', 'max'])
        if x < 0.35:
            return f + '(' + self.term() + ')'
        c = self.pick(self.schema.cols)
        if f in ('sum', 'avg') and self.chance(0.8):
            nums = [d for d in self.schema.cols if d.type.name in NUMERIC + ['counter']]
            c = self.pick(nums) if nums else c
        return Fragment('%s(%s)' % (f, c.name), [], frozenset([c.name]))

    def order(self):
        cks = self.schema.of('ck')
        if not cks:
            return []
        flip = self.chance(0.7)
        cols = cks[: self.r.randint(1, len(cks))]
        if self.chance(0.05):
            cols = [self.pick(self.schema.cols)]
        return [
            Fragment(
                (
                    c.name
                    + self.pick([' DESC', ' ASC'] if self.chance(0.05) else [' ASC' if c.desc == flip else ' DESC'] * 2)
                    if self.chance(0.9)
                    else c.name
                ),
                [],
                frozenset([c.name]),
            )
            for c in cols
        ]

    def select(self):
        self.prep = self.chance(0.4)
        s, x = self.schema, self.r.random()
        distinct, group, json = '', [], ''
        if x < 0.3:
            items = [Fragment('*')]
        elif x < 0.65:
            items = [self.term() for _ in range(self.r.choice([1, 1, 2, 3]))]
        elif x < 0.8:
            items = [self.aggregate() for _ in range(self.r.choice([1, 1, 2]))] + (
                [self.term()] if self.chance(0.2) else []
            )
        elif x < 0.9:
            keys = s.of('pk') + s.of('ck')
            group = [Fragment(c.name, [], frozenset([c.name])) for c in keys[: self.r.randint(1, len(keys))]]
            last = keys[len(group) - 1]
            if self.chance(0.5 if last.type.name in ('timestamp', 'date', 'timeuuid', 'time') else 0.05):
                group[-1] = Fragment(
                    'floor(%s, %s)' % (last.name, self.pick(['1d', '1h', '1mo'])), [], frozenset([last.name])
                )
            if self.chance(0.1):
                group = group[self.r.randrange(len(group)) :]
            items = [self.aggregate() if self.chance(0.7) else self.term() for _ in range(self.r.choice([1, 2, 3]))]
            if self.chance(0.1):
                items = [Fragment('*')]
        else:
            distinct = 'DISTINCT '
            items = [
                Fragment(c.name, [], frozenset([c.name]))
                for c in s.of('pk') + [c for c in s.of('static') if self.chance(0.5)]
            ]
            if self.chance(0.25):
                items = [self.aggregate() for _ in range(self.r.choice([1, 2]))] + items[: self.r.randint(0, 2)]
                keys = s.of('pk') + (s.of('ck')[:1] if self.chance(0.1) else [])
                group = [Fragment(c.name, [], frozenset([c.name])) for c in keys[: self.r.randint(0, len(keys))]]
        if self.chance(0.04):
            json = 'JSON '
        items = [f + ' AS x%d' % i if self.chance(0.05) and f.text != '*' else f for i, f in enumerate(items)]
        x = self.r.random()
        if x < 0.2:
            where = []
        elif x < 0.6:
            where = self.partition() + (self.clustering() if not distinct or self.chance(0.1) else [])
        elif x < 0.7:
            where = self.token()
        elif x < 0.75:
            where = self.token() + self.partition() + self.clustering()
        else:
            where = self.filters() + (self.partition() if self.chance(0.3) else [])
        seen, once = set(), []
        for f in where:  # mostly no doubled restrictions
            key = (f.text.split(' ')[0], f.text.split(' ')[1] if '>' in f.text or '<' in f.text else '')
            if key not in seen or self.chance(0.05):
                once.append(f)
            seen.add(key)

        def limit():
            return self.hole(
                Value(
                    *(lambda n: (str(n), struct.pack('>i', n)))(
                        self.r.choice([1, 1, 2, 3, 4, 10, 100, 0, -1] if self.chance(0.05) else [1, 1, 2, 3, 4, 10])
                    )
                )
            )

        narrow = x >= 0.2 and x < 0.6
        parts = [
            Part('SELECT ' + json + distinct, items, least=1),
            Part(' FROM ' + TABLE, [Fragment('')]),
            Part(' WHERE ', once, ' AND '),
            Part(' GROUP BY ', group),
            Part(' ORDER BY ', self.order() if self.chance((0.5 if group else 0.3) if narrow else 0.03) else []),
            Part(' PER PARTITION LIMIT ', [limit()] if self.chance(0.3 if group else 0.12) else []),
            Part(' LIMIT ', [limit()] if self.chance(0.2) else []),
            Part(
                ' ALLOW FILTERING', [Fragment('')] if self.chance(0.15 if narrow else 0.6 if x < 0.75 else 0.93) else []
            ),
        ]
        return self.op('select', parts, page=self.r.choice([1, 1, 2, 3, 5]) if self.chance(0.35) else None)
