"""Values in every spelling, and relations of WHERE: what reads and writes have in common."""

import struct
from decimal import Decimal

from statements import EMPTY_VALUE, HOLE, UNSET_VALUE, Fragment, join
from values import EMPTY_OK, NULL, NUMERIC, Type, Value, random_native, random_value


class Restrictions:
    """Needs `r` (randomness), `schema`, `domain` (values by column), `prep` (values may be bound), `avoid` and `distinct`
    (no two decimals are equal)."""

    def fill(self, c):
        n = self.r.randint(2, 4) if c.kind in ('pk', 'ck') else 5
        found = [random_value(self.r, c.type) for _ in range(n)]
        if c.type.name == 'decimal' and 'equal-decimals' in self.avoid:
            found = list({Decimal(v.lit): v for v in found}.values())
        self.domain[c.name] = found

    def chance(self, p):
        return self.r.random() < p

    def pick(self, xs):
        return self.r.choice(xs)

    def hole(self, v, t=None):
        """A value as a literal, a bind marker or, now and then, an expression that yields it."""
        bound = self.prep and v.bindable and self.chance(0.7)
        if not v.lit and not self.prep:
            v = NULL
        if t and v.lit and v.raw is not None and v.bindable and not bound and self.chance(0.06):
            return self.exotic(v, t)
        return Fragment(HOLE, [(v, bound)])

    def exotic(self, v, t):
        k = self.r.randrange(8)
        if k > 5:
            return self.call(t) or Fragment(HOLE, [(v, False)])
        if k == 5 and t.name == 'bigint':
            return 'token(' + join(', ', [self.hole(self.value(c)) for c in self.schema.of('pk')]) + ')'
        if k == 0:
            return '(%s)' % t.cql() + Fragment(HOLE, [(v, False)])
        if k == 1 and v.js:
            return Fragment(
                self.pick(['fromJson(', 'from_json(']) + HOLE + ')',
                [(Value("'" + v.js.replace("'", "''") + "'", b''), False)],
            )
        if k == 2 and not t.args and t.name not in ('blob', 'counter'):
            name = self.pick(['blob_as_%s', 'blobAs%s']) % (t.name if self.chance(0.5) else t.name.capitalize())
            return Fragment('%s(0x%s)' % (name, v.raw.hex()))
        if k == 3 and t.name in NUMERIC and not (t.name == 'decimal' and self.distinct):
            return Fragment(HOLE + self.pick([' + 0', ' - 0', ' * 1', ' / 1']), [(v, False)])
        if k == 4 and t.name in NUMERIC:
            return Fragment('-' + HOLE if v.lit[0] != '-' else HOLE, [(v, False)])
        return Fragment(HOLE, [(v, False)])

    def call(self, t):
        """A call that gives a value of that type, if there is one that is worth it."""

        def of(name):
            return '(%s)' % name + self.hole(random_value(self.r, Type(name)))

        calls = {
            'timestamp': ['to_timestamp(', 'date', ')', 'floor(', 'timestamp', ', 1h)']
            + ['to_timestamp(', 'timeuuid', ')'],
            'date': ['to_date(', 'timestamp', ')', 'floor(', 'date', ', 1mo)', 'to_date(', 'timeuuid', ')'],
            'bigint': ['to_unix_timestamp(', 'timestamp', ')', 'to_unix_timestamp(', 'date', ')']
            + ['CAST(', 'int', ' AS bigint)'],
            'timeuuid': ['min_timeuuid(', 'timestamp', ')', 'max_timeuuid(', 'timestamp', ')'],
            'blob': ['int_as_blob(', 'int', ')', 'text_as_blob(', 'text', ')'],
            'text': ['to_json(', 'int', ')', 'CAST(', 'bigint', ' AS text)', 'to_json(', 'text', ')'],
            'int': ['collection_count((list<int>)[', 'int', '])', 'abs(', 'int', ')', 'CAST(', 'bigint', ' AS int)'],
            'double': ['log(', 'double', ')', 'CAST(', 'int', ' AS double)', 'round(', 'double', ')'],
            'varint': ['abs(', 'varint', ')', 'collection_max((list<varint>)[', 'varint', '])', '-', 'varint', ''],
        }.get(t.name)
        if not calls:
            return None
        k = 3 * self.r.randrange(len(calls) // 3)
        return calls[k] + of(calls[k + 1]) + calls[k + 2]

    def value(self, c, nulls=0.0):
        """A value for a column."""
        x = self.r.random()
        if x < nulls:
            return NULL if not self.prep or self.chance(0.5) else UNSET_VALUE
        if x > 0.985 and self.prep and c.type.name in EMPTY_OK:
            return EMPTY_VALUE
        if x > 0.975:
            return random_value(self.r, random_native(self.r))  # of a wrong type
        if c.name in self.domain and (c.kind in ('pk', 'ck') or self.chance(0.8)):
            return self.pick(self.domain[c.name])
        return random_value(self.r, c.type, 0.02)

    def of(self, c, nulls=0.0):
        return self.hole(self.value(c, nulls), c.type)

    def any(self, t):
        return self.hole(random_value(self.r, t), t)

    def col(self, *kinds):
        cols = self.schema.of(*kinds)
        return self.pick(cols) if cols else None

    def rel(self, c, ops):
        op = self.pick(ops)
        here = frozenset([c.name])
        t = c.type
        if op == 'IN':
            if self.prep and self.chance(0.2):
                vs = [self.value(c) for _ in range(self.r.choice([0, 1, 2, 3]))]
                raw = struct.pack('>i', len(vs)) + b''.join(
                    struct.pack('>i', len(v.raw)) + v.raw for v in vs if isinstance(v.raw, bytes)
                )
                if all(isinstance(v.raw, bytes) and v.bindable for v in vs):
                    return Fragment(c.name + ' IN ' + HOLE, [(Value('', raw), True)], here)
            f = join(', ', [self.of(c) for _ in range(self.r.choice([0, 1, 1, 2, 2, 3]))])
            return Fragment(c.name + ' IN (', [], here) + f + ')'
        if op == 'CONTAINS':
            e = t.args[-1] if t.args else t
            return Fragment(c.name + ' CONTAINS ', [], here) + self.any(e)
        if op == 'CONTAINS KEY':
            return Fragment(c.name + ' CONTAINS KEY ', [], here) + self.any(t.args[0] if t.args else t)
        if op == '[]':
            k, v = (t.args[0], t.args[1]) if t.name == 'map' else (Type('int'), t.args[0] if t.args else t)
            return (
                Fragment(c.name + '[', [], here)
                + self.any(k)
                + ('] ' + self.pick(['=', '=', '>', '<=', '!=']) + ' ')
                + self.any(v)
            )
        return Fragment('%s %s ' % (c.name, op), [], here) + self.of(c, 0.02)

    def slice_rels(self, c):
        lo, hi = self.pick(['>', '>=']), self.pick(['<', '<='])
        return [self.rel(c, [o]) for o in self.pick([[lo], [hi], [lo, hi]])]

    def multi(self, cols, ops=('=', '<', '<=', '>', '>=', 'IN')):
        here = frozenset(c.name for c in cols)
        names = '(%s)' % ', '.join(c.name for c in cols)

        def one():
            return '(' + join(', ', [self.of(c) for c in cols]) + ')'

        op = self.pick(ops)
        if op == 'IN':
            return (
                Fragment(names + ' IN (', [], here) + join(', ', [one() for _ in range(self.r.choice([1, 2, 3]))]) + ')'
            )
        return Fragment(names + ' %s ' % op, [], here) + one()

    def partition(self, single=False):
        """Relations that name partitions."""
        pks = self.schema.of('pk')
        x = self.r.random()
        if single or x < 0.8:
            return [self.rel(c, ['=']) for c in pks]
        return [self.rel(c, ['=', 'IN', 'IN']) for c in pks]

    def token(self):
        pks = self.schema.of('pk')
        here = frozenset(c.name for c in pks)
        f = 'token(%s)' % ', '.join(c.name for c in pks)
        out = []
        for op in self.pick([['>'], ['<='], ['>', '<='], ['>=', '<'], ['='], ['>=', '<=']]):
            if self.chance(0.5):
                out.append(Fragment('%s %s token(' % (f, op), [], here) + join(', ', [self.of(c) for c in pks]) + ')')
            else:
                out.append(Fragment('%s %s ' % (f, op), [], here) + self.any(Type('bigint')))
        return out

    def clustering(self, whole=False):
        """Relations on a prefix of the clustering columns: equal ones, then perhaps a slice, IN or tuple."""
        cks = self.schema.of('ck')
        if not cks:
            return []
        if whole:
            return [self.rel(c, ['=']) for c in cks]
        n = self.r.randint(0, len(cks))
        rels = [self.rel(c, ['=', '=', '=', 'IN']) for c in cks[:n]]
        if n < len(cks):
            x = self.r.random()
            if x < 0.45:
                rels += self.slice_rels(cks[n])
            elif x < 0.6:
                rels.append(self.rel(cks[n], ['IN']))
            elif x < 0.85:
                m = self.r.randint(n + 1, len(cks))
                rels += [self.multi(cks[n:m]) for _ in range(self.r.choice([1, 1, 2]))]
        elif self.chance(0.2):
            rels = [self.multi(cks)]
        return rels

    def filters(self):
        out = []
        for _ in range(self.r.choice([1, 1, 1, 2, 3])):
            c = self.pick(self.schema.cols)
            if c.type.name in ('list', 'set', 'map') and self.chance(0.7):
                out.append(self.rel(c, ['CONTAINS', 'CONTAINS KEY', '[]', '=']))
            else:
                out.append(self.rel(c, ['=', '=', '<', '<=', '>', '>=', 'IN', '=']))
        return out
