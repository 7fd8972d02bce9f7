"""Statements as parts that a shrinker can take away, and the schema of a case."""

import struct
from dataclasses import dataclass, field, replace

from client import UNSET
from values import Type, Value

TABLE = '\1'  # stands for the table's name
HOLE = '\0'  # stands for a value


@dataclass
class Column:
    name: str
    type: Type
    kind: str  # pk, ck, static, regular
    desc: bool = False


@dataclass
class Schema:
    cols: list
    udts: list = field(default_factory=list)
    options: list = field(default_factory=list)

    def of(self, *kinds):
        return [c for c in self.cols if c.kind in kinds]

    def create(self, table):
        defs = ['%s %s%s' % (c.name, c.type.cql(), ' static' if c.kind == 'static' else '') for c in self.cols]
        pk = ', '.join(c.name for c in self.of('pk'))
        ck = self.of('ck')
        defs.append('PRIMARY KEY (%s)' % ', '.join(['(%s)' % pk] + [c.name for c in ck]))
        with_ = list(self.options)
        if any(c.desc for c in ck):
            with_.insert(
                0, 'CLUSTERING ORDER BY (%s)' % ', '.join(c.name + (' DESC' if c.desc else ' ASC') for c in ck)
            )
        return 'CREATE TABLE %s (%s)%s' % (table, ', '.join(defs), ' WITH ' + ' AND '.join(with_) if with_ else '')

    def create_types(self):
        return [
            'CREATE TYPE IF NOT EXISTS %s (%s)'
            % (u.udt, ', '.join('%s %s' % fa for fa in zip(u.fields, (a.cql() for a in u.args))))
            for u in self.udts
        ]


@dataclass
class Fragment:
    """A piece of a statement: text with a HOLE for each value. vals: [(value, bound?)]"""

    text: str
    vals: list = field(default_factory=list)
    cols: frozenset = frozenset()

    def __add__(self, other):
        if isinstance(other, str):
            return Fragment(self.text + other, self.vals, self.cols)
        return Fragment(self.text + other.text, self.vals + other.vals, self.cols | other.cols)

    def __radd__(self, text):
        return Fragment(text + self.text, self.vals, self.cols)


def join(sep, frags):
    out = Fragment('')
    for i, f in enumerate(frags):
        out = out + (sep if i else '') + f
    return out


@dataclass
class Part:
    """frags joined by sep after prefix; nothing at all when there are none. pairs: (column, value) of an INSERT."""

    prefix: str
    frags: list
    sep: str = ', '
    least: int = 0
    pairs: bool = False
    suffix: str = ''

    def whole(self):
        if not self.frags and not self.least:
            return Fragment('')
        if self.pairs:
            cols = join(', ', [c for c, _ in self.frags])
            return self.prefix + (cols + ') VALUES (') + join(', ', [v for _, v in self.frags]) + self.suffix
        return self.prefix + join(self.sep, self.frags) + self.suffix


@dataclass
class Step:
    """kind: a statement's kind, or batch (native message), flush, restart, sleep, reset (start anew), hold (prepares
    subs[0]), again (executes it, as it was prepared then)"""

    kind: str
    parts: list = field(default_factory=list)
    prepared: bool = False
    page: int = None
    ts: int = None
    loose: bool = False  # values differ by nature (now()): compare columns and the number of rows
    subs: list = field(default_factory=list)
    batch: int = 0
    mutated: str = None  # the text after a mutation, which is sent instead
    schema: object = None  # for ALTER: the schema from here on

    def render(self, table, shift=0):
        """(text, bound values). shift: added to all timestamps."""
        if self.mutated is not None:
            return self.mutated.replace(TABLE, table), []
        f = join('', [p.whole() for p in self.parts])
        out, vals = [], []
        for i, piece in enumerate(f.text.split(HOLE)):
            if i:
                v, bound = f.vals[i - 1]
                if v.ts is not None:
                    v = Value(str(v.ts + shift), struct.pack('>q', v.ts + shift))
                if self.prepared and bound or not v.lit:
                    out.append('?')
                    vals.append(v.raw)
                else:
                    out.append(v.lit)
            out.append(piece)
        return ''.join(out).replace(TABLE, table), vals

    def literal(self):
        return replace(self, prepared=False)

    def columns(self):
        out = set()
        for p in self.parts:
            for f in p.frags:
                for g in (f if isinstance(f, tuple) else (f,)):
                    out |= g.cols
        return out

    def show(self, table='t'):
        if self.kind == 'batch':
            return 'BATCH(%s%s) [%s]' % (
                ('logged', 'unlogged', 'counter')[self.batch],
                ' ts=%s' % self.ts,
                ' ; '.join(s.show(table) for s in self.subs),
            )
        if self.kind in ('flush', 'sleep', 'reset', 'restart'):
            return self.kind.upper()
        if self.kind in ('hold', 'again'):
            return '%s %s' % (self.kind.upper(), self.subs[0].show(table))
        text, vals = self.render(table)
        more = []
        if vals:
            more.append(
                'bound [%s]'
                % ', '.join('null' if v is None else 'UNSET' if v is UNSET else '0x' + v.hex() for v in vals)
            )
        if self.prepared and not vals:
            more.append('prepared')
        if self.page:
            more.append('page=%d' % self.page)
        if self.ts is not None and 'TIMESTAMP' not in text and self.kind not in ('select', 'dump', 'alter'):
            more.append('default ts=%d' % self.ts)
        return text + ('   -- ' + '; '.join(more) if more else '')


UNSET_VALUE = Value('', UNSET, '')
EMPTY_VALUE = Value('', b'', '')
