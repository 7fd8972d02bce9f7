"""Types and values. A value is kept in three spellings at once: CQL literal, bytes of the protocol, JSON text.
The sets are tiny on purpose: collisions and ties are what finds faults."""

import ipaddress
import struct
import uuid
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Value:
    lit: str  # CQL literal; '' where only a bound value can say it
    raw: bytes  # None: null
    js: str = 'null'  # '' where JSON can't say it
    bindable: bool = True
    ts: int = None  # a timestamp: moved on from one run on a table to the next


NULL = Value('null', None, 'null')


def varint(n):
    return n.to_bytes((n + (n < 0)).bit_length() // 8 + 1, 'big', signed=True)


def unsigned_vint(n):
    """Cassandra's variable-length integer: the leading ones of the first byte count the bytes that follow."""
    for extra in range(8):
        if n < 1 << (7 + 7 * extra):
            lead = (0xFF << (8 - extra)) & 0xFF
            b = bytearray(n.to_bytes(extra + 1, 'big'))
            b[0] |= lead
            return bytes(b)
    return b'\xff' + n.to_bytes(8, 'big')


def signed_vint(n):
    return unsigned_vint((n << 1) ^ (n >> 63) if n >= 0 else ((-n) << 1) - 1)


def quote(s):
    return "'" + s.replace("'", "''") + "'"


def js_string(s):
    return '"' + s.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


def ints(fmt, *ns):
    return [Value(str(n), struct.pack(fmt, n), str(n)) for n in ns]


def floats(fmt, *texts):
    out = []
    for t in texts:
        f = float(t.replace('Infinity', 'inf'))
        out.append(Value(t, struct.pack(fmt, f), t if t[-1] not in 'Ny' else ''))
    return out


def decimals(*pairs):
    return [Value(t, struct.pack('>i', scale) + varint(n), t) for t, n, scale in pairs]


def texts(*ss):
    return [Value(quote(s), s.encode(), js_string(s)) for s in ss]


def dates():
    days = [
        ('1970-01-01', 0),
        ('1969-12-31', -1),
        ('2024-02-29', 19782),
        ('0001-01-01', -719162),
        ('9999-12-31', 2932896),
    ]
    out = [Value(quote(t), struct.pack('>I', n + (1 << 31)), '"%s"' % t) for t, n in days]
    return out + [Value('0', b'\0\0\0\0', ''), Value('4294967295', b'\xff' * 4, '')]


def timestamps():
    ms = [
        ('1970-01-01T00:00:00.000Z', 0),
        ('1969-12-31T23:59:59.999Z', -1),
        ('2024-02-29T12:30:45.678Z', 1709209845678),
        ('2024-02-29T00:00:00.000+0100', 1709161200000),
    ]
    out = [Value(quote(t), struct.pack('>q', n), '"%s"' % t) for t, n in ms]
    return out + ints('>q', 0, 1709209845678, 9223372036854775807, -9223372036854775808, -62135596800000)


def times():
    ns = [
        ('00:00:00', 0),
        ('23:59:59.999999999', 86399999999999),
        ('12:30:45', 45045000000000),
        ('00:00:00.000000001', 1),
    ]
    return [Value(quote(t), struct.pack('>q', n), '"%s"' % t) for t, n in ns]


def durations():
    ds = [
        ('0s', 0, 0, 0),
        ('1mo', 1, 0, 0),
        ('30d', 0, 30, 0),
        ('720h', 0, 0, 2592000000000000),
        ('-1y2mo', -14, 0, 0),
        ('1d', 0, 1, 0),
        ('1h30m', 0, 0, 5400000000000),
        ('1us', 0, 0, 1000),
        ('P1Y2M3DT4H5M6S', 14, 3, 14706000000000),
        ('178956970y7mo2147483647d', 2147483647, 2147483647, 0),
    ]
    return [Value(t, signed_vint(m) + signed_vint(d) + signed_vint(n), '"%s"' % t) for t, m, d, n in ds]


def uuids(*us):
    return [Value(u, uuid.UUID(u).bytes, '"%s"' % u) for u in us]


POOLS = {
    'ascii': texts('', 'a', 'b', 'aa', 'B'),
    'text': texts('', 'a', 'b', 'aa', 'é', 'z\U0001f600', "it's", 'A'),
    'tinyint': ints('>b', 0, 1, 2, -1, 127, -128),
    'smallint': ints('>h', 0, 1, 2, -1, 32767, -32768),
    'int': ints('>i', 0, 1, 2, -1, 2147483647, -2147483648),
    'bigint': ints('>q', 0, 1, 2, -1, 9223372036854775807, -9223372036854775808),
    'varint': [Value(str(n), varint(n), str(n)) for n in (0, 1, -1, 127, 128, -128, -129, 2**63, -(10**30))],
    'decimal': decimals(
        ('0', 0, 0),
        ('0.0', 0, 1),
        ('1', 1, 0),
        ('1.0', 10, 1),
        ('1.00', 100, 2),
        ('-1.5', -15, 1),
        ('1E+3', 1, -3),
        ('1000', 1000, 0),
        ('1E-30', 1, 30),
    ),
    'float': floats(
        '>f', '0.0', '-0.0', '1.0', '1.5', '-2.25', 'NaN', 'Infinity', '-Infinity', '3.4028235E38', '1.4E-45'
    ),
    'double': floats(
        '>d', '0.0', '-0.0', '1.0', '1.5', '-2.25', 'NaN', 'Infinity', '-Infinity', '1.7976931348623157E308', '4.9E-324'
    ),
    'boolean': [Value('true', b'\1', 'true'), Value('false', b'\0', 'false')],
    'blob': [Value('0x' + b.hex(), b, '"0x%s"' % b.hex()) for b in (b'', b'\0', b'\xff', b'\0\xff', b'a')],
    'date': dates(),
    'time': times(),
    'timestamp': timestamps(),
    'duration': durations(),
    'inet': [
        Value(quote(a), ipaddress.ip_address(a).packed, '"%s"' % a)
        for a in ('127.0.0.1', '255.255.255.255', '::1', '0.0.0.0', '2001:db8::ff00:42:8329')
    ],
    'uuid': uuids(
        '00000000-0000-0000-0000-000000000000',
        'ffffffff-ffff-ffff-ffff-ffffffffffff',
        '7d444840-9dc0-11d1-b245-5ffdce74fad2',
        '12345678-1234-4234-9234-123456789abc',
        '22345678-1234-4234-9234-123456789abc',
    ),
    'timeuuid': uuids(
        '7d444840-9dc0-11d1-b245-5ffdce74fad2',
        '7d444840-9dc0-11d1-b245-5ffdce74fad3',
        '7d444840-9dc0-11d1-f245-5ffdce74fad2',
        '00000000-0000-1000-8080-808080808080',
        'ffffffff-ffff-1fff-7f7f-7f7f7f7f7f7f',
    ),
}
ALL_DECIMALS = POOLS['decimal']
# without a second form of an equal number
DISTINCT_DECIMALS = list({Decimal(v.lit): v for v in ALL_DECIMALS}.values())


NUMERIC = ['tinyint', 'smallint', 'int', 'bigint', 'varint', 'decimal', 'float', 'double']
FIXED = {
    'tinyint',
    'smallint',
    'int',
    'bigint',
    'float',
    'double',
    'boolean',
    'date',
    'time',
    'timestamp',
    'uuid',
    'timeuuid',
}
# vectors write these without a length before each element
VECTOR_FIXED = {'int', 'bigint', 'float', 'double', 'boolean', 'timestamp', 'uuid', 'timeuuid'}
EMPTY_OK = ['int', 'bigint', 'float', 'double', 'boolean', 'timestamp', 'uuid', 'timeuuid', 'varint', 'decimal', 'inet']


@dataclass(frozen=True)
class Type:
    """name: a native type, or list, set, map, tuple, vector, udt"""

    name: str
    args: tuple = ()
    frozen: bool = False
    udt: str = ''  # name of the user type
    fields: tuple = ()  # its field names
    size: int = 0  # of a vector

    def cql(self):
        if self.name == 'vector':
            return 'vector<%s, %d>' % (self.args[0].cql(), self.size)
        if self.name == 'udt':
            inner = self.udt
        elif self.args:
            inner = '%s<%s>' % (self.name, ', '.join(a.cql() for a in self.args))
        else:
            return self.name
        return 'frozen<%s>' % inner if self.frozen else inner

    @property
    def multi(self):
        """Is each element a cell of its own?"""
        return self.name in ('list', 'set', 'map', 'udt') and not self.frozen

    @property
    def collection(self):
        return self.name in ('list', 'set', 'map')

    def walk(self):
        yield self
        for a in self.args:
            yield from a.walk()

    def freeze(self):
        return Type(
            self.name,
            tuple(a.freeze() for a in self.args),
            bool(self.args) and self.name not in ('tuple', 'vector'),
            self.udt,
            self.fields,
            self.size,
        )


def native(name):
    return Type(name)


def item(raw):
    return struct.pack('>i', -1) if raw is None else struct.pack('>i', len(raw)) + raw


def compose(t, parts):
    """A value of type t out of its elements (for maps: pairs, flat)."""
    lits, jss = [p.lit for p in parts], [p.js for p in parts]
    ok_lit, ok_js = all(lits), all(jss)
    if t.name in ('list', 'set'):
        raw = struct.pack('>i', len(parts)) + b''.join(item(p.raw) for p in parts)
        lit = ('[%s]' if t.name == 'list' else '{%s}') % ', '.join(lits)
        js = '[%s]' % ', '.join(jss)
    elif t.name == 'map':
        raw = struct.pack('>i', len(parts) // 2) + b''.join(item(p.raw) for p in parts)
        lit = '{%s}' % ', '.join('%s: %s' % (lits[i], lits[i + 1]) for i in range(0, len(parts), 2))
        js = '{%s}' % ', '.join(
            '%s: %s' % (k if k[:1] == '"' else js_string(k), jss[2 * i + 1]) for i, k in enumerate(jss[::2])
        )
    elif t.name == 'tuple':
        raw = b''.join(item(p.raw) for p in parts)
        lit, js = '(%s)' % ', '.join(lits), '[%s]' % ', '.join(jss)
    elif t.name == 'udt':
        raw = b''.join(item(p.raw) for p in parts)
        lit = '{%s}' % ', '.join('%s: %s' % (f, text) for f, text in zip(t.fields, lits))
        js = '{%s}' % ', '.join('"%s": %s' % (f, j) for f, j in zip(t.fields, jss))
    else:
        fixed = t.args[0].name in VECTOR_FIXED
        raw = b''.join(p.raw if fixed else unsigned_vint(len(p.raw)) + p.raw for p in parts)
        lit, js = '[%s]' % ', '.join(lits), '[%s]' % ', '.join(jss)
    return Value(lit if ok_lit else '', raw, js if ok_js else '', all(p.bindable for p in parts))


def sort_key(t):
    """How a server orders values of this type, or None where that is not worth saying here."""
    if t.name in ('tinyint', 'smallint', 'int', 'bigint', 'varint', 'time', 'timestamp'):
        return lambda v: int.from_bytes(v.raw, 'big', signed=True)
    if t.name in ('float', 'double'):

        def bits(v):
            n = int.from_bytes(v.raw, 'big')
            top = 1 << (8 * len(v.raw) - 1)
            return n if n < top else top - 1 - n

        return bits
    if t.name == 'decimal':
        return lambda v: Decimal(v.lit)
    return (lambda v: v.raw) if t.name in ('ascii', 'text', 'blob', 'boolean', 'date', 'inet', 'duration') else None


def random_value(r, t, nulls=0.0):
    if r.random() < nulls:
        return NULL
    if not t.args:
        pool = POOLS['bigint' if t.name == 'counter' else t.name]
        # the first three most of the time: ties
        return r.choice(pool[:3]) if r.random() < 0.6 else r.choice(pool)
    if t.name == 'list':
        return compose(t, [random_value(r, t.args[0]) for _ in range(r.choice([0, 1, 1, 2, 2, 3]))])
    if t.name in ('set', 'map'):
        return sorted_value(r, t)
    if t.name in ('tuple', 'udt'):
        n = len(t.args)
        if r.random() < 0.1:
            n = r.randint(1, n)  # trailing fields left out
        return compose(t, [random_value(r, a, 0.15) for a in t.args[:n]])
    return compose(t, [random_value(r, t.args[0]) for _ in range(t.size)])


def sorted_value(r, t):
    """Sets and maps. Clients bind them sorted and without duplicates; literals come as they like."""
    keys = [random_value(r, t.args[0]) for _ in range(r.choice([0, 1, 1, 2, 2, 3]))]
    order = sort_key(t.args[0])
    if order is None:
        keys = list({k.raw: k for k in keys}.values())[: 1 if r.random() < 0.6 else 3]

    def with_values(ks):
        return [x for k in ks for x in ((k, random_value(r, t.args[1])) if t.name == 'map' else (k,))]

    if order:
        keys = sorted({order(k): k for k in keys}.values(), key=order)
    v = compose(t, with_values(keys))
    if not order and len(keys) > 1:
        return Value(v.lit, v.raw, v.js, False)
    if order and len(keys) > 1 and r.random() < 0.3:  # shuffled, some doubled
        mixed = list(keys) + ([r.choice(keys)] if t.name == 'set' else [])
        r.shuffle(mixed)
        w = compose(t, with_values(mixed))
        return Value(w.lit, w.raw, w.js, False)
    return v


def random_native(r, exclude=()):
    weights = {'int': 5, 'text': 5, 'bigint': 2, 'timestamp': 2, 'decimal': 2, 'float': 2, 'double': 2}
    names = [n for n in POOLS if n not in exclude]
    return Type(r.choices(names, [weights.get(n, 1) for n in names])[0])


def random_type(r, udts, depth=0, key=False):
    """key: for a column of the primary key."""
    x = r.random()
    if x < (0.85 if key else 0.5 if depth == 0 else 0.8):
        return random_native(r, ('duration',) if key or depth else ())
    kind = r.choice(['list', 'set', 'map', 'tuple', 'udt', 'vector', 'list', 'set', 'map'])
    if kind == 'udt' and not udts:
        kind = 'map'
    frozen = key or depth > 0 or r.random() < 0.3
    if kind == 'udt':
        t = r.choice(udts)
        return Type('udt', t.args, frozen, t.udt, t.fields)
    if kind == 'vector':
        return Type(
            'vector',
            (Type(r.choice(['float', 'float', 'int', 'text', 'varint', 'tinyint'])),),
            False,
            '',
            (),
            r.randint(1, 3),
        )
    if kind == 'tuple':
        return Type('tuple', tuple(random_type(r, udts, depth + 1, key) for _ in range(r.randint(1, 3))))
    args = [random_type(r, udts, depth + 1, key) for _ in range(2 if kind == 'map' else 1)]
    return Type(kind, tuple(a if a.name in ('tuple', 'vector') or not a.args else a.freeze() for a in args), frozen)


def random_udt(r, name, udts):
    n = r.randint(1, 3)
    args = tuple(random_type(r, udts, 1) for _ in range(n))
    return Type(
        'udt',
        tuple(a if a.name in ('tuple', 'vector') or not a.args else a.freeze() for a in args),
        False,
        name,
        tuple('f%d' % i for i in range(n)),
    )


# ------------------------------------------------------------------------------------------------ bytes to text


def show(raw, kind):
    """Bytes of a column as text, for reports: natives decoded, the rest in hex."""
    if raw is None:
        return 'null'
    try:
        if kind in ('text', 'ascii'):
            return quote(raw.decode())
        if kind in ('tinyint', 'smallint', 'int', 'bigint', 'counter', 'varint', 'timestamp', 'time'):
            return str(int.from_bytes(raw, 'big', signed=True)) if raw else '(empty)'
        if kind in ('float', 'double'):
            return repr(struct.unpack('>f' if kind == 'float' else '>d', raw)[0])
        if kind == 'decimal':
            return '%dE%d' % (int.from_bytes(raw[4:], 'big', signed=True), -struct.unpack('>i', raw[:4])[0])
        if kind == 'boolean':
            return {b'\0': 'false', b'\1': 'true'}.get(raw, '0x' + raw.hex())
        if kind in ('uuid', 'timeuuid'):
            return str(uuid.UUID(bytes=raw))
        if kind == 'inet':
            return str(ipaddress.ip_address(raw))
        if kind.startswith(('list<', 'set<', 'map<')):
            pair = kind.startswith('map<')
            inner, out, p = split_args(kind), [], 4
            for i in range(struct.unpack('>i', raw[:4])[0] * (2 if pair else 1)):
                n = struct.unpack('>i', raw[p : p + 4])[0]
                out.append(show(None if n < 0 else raw[p + 4 : p + 4 + n], inner[i % len(inner)]))
                p += 4 + max(n, 0)
            return '[' + ', '.join(out) + ']'
    except Exception:
        pass
    return '0x' + raw.hex()


def split_args(kind):
    inner, depth, out = kind[kind.index('<') + 1 : -1], 0, ['']
    for ch in inner:
        depth += (ch == '<') - (ch == '>')
        if ch == ',' and depth == 0:
            out.append('')
        else:
            out[-1] += ch
    return [o.strip() for o in out]
