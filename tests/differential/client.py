"""A small client of the native protocol (v4 and v5, no compression): it hands out raw bytes, so that two servers'
answers can be compared exactly, and it sends what drivers refuse to send (wrong lengths, UNSET anywhere)."""

import socket
import struct
import zlib
from dataclasses import dataclass, field

UNSET = object()
ERRORS = {
    0x0000: 'server',
    0x000A: 'protocol',
    0x0100: 'auth',
    0x1000: 'unavailable',
    0x1001: 'overloaded',
    0x1002: 'bootstrapping',
    0x1003: 'truncate',
    0x1100: 'write-timeout',
    0x1200: 'read-timeout',
    0x1300: 'read-failure',
    0x1400: 'function-failure',
    0x1500: 'write-failure',
    0x2000: 'syntax',
    0x2100: 'unauthorized',
    0x2200: 'invalid',
    0x2300: 'config',
    0x2400: 'already-exists',
    0x2500: 'unprepared',
}
NATIVE = {
    1: 'ascii',
    2: 'bigint',
    3: 'blob',
    4: 'boolean',
    5: 'counter',
    6: 'decimal',
    7: 'double',
    8: 'float',
    9: 'int',
    0xB: 'timestamp',
    0xC: 'uuid',
    0xD: 'text',
    0xE: 'varint',
    0xF: 'timeuuid',
    0x10: 'inet',
    0x11: 'date',
    0x12: 'time',
    0x13: 'smallint',
    0x14: 'tinyint',
    0x15: 'duration',
}


@dataclass
class Failure:
    kind: str
    message: str


@dataclass
class Prepared:
    id: bytes
    meta_id: bytes
    binds: list  # [(name, type)]
    pk: list  # indexes of the binds that are the partition key
    columns: list  # [(name, type)] of the result, [] if it has none
    text: str = ''


@dataclass
class Answer:
    kind: str  # rows, void, schema, keyspace
    columns: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    state: bytes = None
    warnings: list = field(default_factory=list)
    detail: tuple = ()


def crc24(data, length):
    crc = 0x875060
    for _ in range(length):
        crc ^= (data & 0xFF) << 16
        data >>= 8
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1974F0B
    return crc


class Reader:
    def __init__(self, data):
        self.d, self.p = data, 0

    def take(self, n):
        out = self.d[self.p : self.p + n]
        if len(out) != n:
            raise EOFError('answer too short')
        self.p += n
        return out

    def byte(self):
        return self.take(1)[0]

    def short(self):
        return struct.unpack('>H', self.take(2))[0]

    def int(self):
        return struct.unpack('>i', self.take(4))[0]

    def string(self):
        return self.take(self.short()).decode('utf8', 'surrogateescape')

    def short_bytes(self):
        return self.take(self.short())

    def bytes(self):
        n = self.int()
        return None if n < 0 else self.take(n)

    def type(self):
        k = self.short()
        if k in NATIVE:
            return NATIVE[k]
        if k == 0:
            return 'custom ' + self.string()
        if k in (0x20, 0x22):
            return ('list' if k == 0x20 else 'set') + '<%s>' % self.type()
        if k == 0x21:
            a = self.type()
            return 'map<%s, %s>' % (a, self.type())
        if k == 0x30:
            ks, name = self.string(), self.string()
            return 'udt %s.%s<%s>' % (
                ks,
                name,
                ', '.join('%s %s' % (self.string(), self.type()) for _ in range(self.short())),
            )
        if k == 0x31:
            return 'tuple<%s>' % ', '.join(self.type() for _ in range(self.short()))
        return 'type %#x' % k

    def metadata(self, prepared=False):
        """([(name, type)], paging state, new metadata id, partition key indexes)"""
        flags, count = self.int(), self.int()
        pk = [self.short() for _ in range(self.int())] if prepared else []
        state = self.bytes() if flags & 2 else None
        new_id = self.short_bytes() if flags & 8 else None
        if flags & 4:
            return None, state, new_id, pk
        if flags & 1:
            self.string(), self.string()
        cols = []
        for _ in range(count):
            if not flags & 1:
                self.string(), self.string()
            cols.append((self.string(), self.type()))
        return cols, state, new_id, pk


def string(s):
    b = s.encode('utf8', 'surrogateescape')
    return struct.pack('>H', len(b)) + b


def long_string(s):
    b = s.encode('utf8', 'surrogateescape')
    return struct.pack('>i', len(b)) + b


def value(v):
    if v is None:
        return struct.pack('>i', -1)
    if v is UNSET:
        return struct.pack('>i', -2)
    return struct.pack('>i', len(v)) + v


class Connection:
    def __init__(self, host, port, version=5, timeout=180):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.version, self.framed, self.buf = version, False, b''
        self.prepared = {}
        op, _, r = self.request(1, struct.pack('>H', 1) + string('CQL_VERSION') + string('3.0.0'))
        if op != 2:
            raise ConnectionError('no READY: opcode %d %r' % (op, r.d))
        self.framed = version >= 5

    def close(self):
        self.sock.close()

    def _recv(self, n):
        while len(self.buf) < n:
            got = self.sock.recv(1 << 16)
            if not got:
                raise ConnectionError('closed by the server')
            self.buf += got
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def request(self, opcode, body):
        env = struct.pack('>BBhBi', self.version, 0, 0, opcode, len(body)) + body
        if self.framed:
            parts = [env[i : i + 131071] for i in range(0, len(env), 131071)]
            env = b''.join(self._frame(p, len(parts) == 1) for p in parts)
        self.sock.sendall(env)
        data = b''
        while True:
            if self.framed:
                head = int.from_bytes(self._recv(6), 'little')
                size = head & 0x1FFFF
                if crc24(head & 0xFFFFFF, 3) != head >> 24:
                    raise ConnectionError('wrong CRC24')
                data += self._recv(size)
                self._recv(4)
            elif not data:
                data = self._recv(9)
            if len(data) >= 9:
                length = struct.unpack('>i', data[5:9])[0]
                if not self.framed:
                    data += self._recv(length)
                if len(data) >= 9 + length:
                    break
        flags, op, r = data[1], data[4], Reader(data[9 : 9 + length])
        warnings = []
        if flags & 2:
            r.take(16)
        if flags & 8:
            warnings = [r.string() for _ in range(r.short())]
        if flags & 4:
            for _ in range(r.short()):
                r.string(), r.bytes()
        return op, warnings, r

    def _frame(self, payload, whole):
        head = len(payload) | (whole << 17)
        crc = zlib.crc32(payload, zlib.crc32(b'\xfa\x2d\x55\xca'))
        return head.to_bytes(3, 'little') + crc24(head, 3).to_bytes(3, 'little') + payload + struct.pack('<I', crc)

    def _params(self, values, page_size, state, ts, skip_metadata=False):
        flags = (
            (1 if values else 0)
            | (2 if skip_metadata else 0)
            | (4 if page_size else 0)
            | (8 if state is not None else 0)
            | (0x20 if ts is not None else 0)
        )
        out = struct.pack('>H', 1) + (struct.pack('>i', flags) if self.version >= 5 else bytes([flags]))
        if values:
            out += struct.pack('>H', len(values)) + b''.join(map(value, values))
        if page_size:
            out += struct.pack('>i', page_size)
        if state is not None:
            out += value(state)
        if ts is not None:
            out += struct.pack('>q', ts)
        return out

    def _answer(self, op, warnings, r, columns=None):
        if op == 0:
            return Failure(ERRORS.get(code := r.int(), hex(code)), r.string())
        kind = r.int()
        if kind == 1:
            return Answer('void', warnings=warnings)
        if kind == 2:
            cols, state, new_id, _ = r.metadata()
            cols = cols if cols is not None else columns
            rows = [tuple(r.bytes() for _ in cols) for _ in range(r.int())]
            answer = Answer('rows', cols, rows, state, warnings)
            answer.new_id = new_id
            return answer
        if kind == 3:
            return Answer('keyspace', detail=(r.string(),), warnings=warnings)
        if kind == 5:
            return Answer('schema', detail=(r.string(), r.string()), warnings=warnings)
        return Answer('kind %d' % kind)

    def query(self, cql, values=(), page_size=None, state=None, ts=None):
        return self._answer(*self.request(7, long_string(cql) + self._params(values, page_size, state, ts)))

    def prepare(self, cql, again=False):
        if cql in self.prepared and not again:
            return self.prepared[cql]
        op, _, r = self.request(9, long_string(cql) + (b'\0\0\0\0' if self.version >= 5 else b''))
        if op == 0:
            return Failure(ERRORS.get(code := r.int(), hex(code)), r.string())
        r.int()
        ident = r.short_bytes()
        meta = r.short_bytes() if self.version >= 5 else b''
        binds, _, _, pk = r.metadata(prepared=True)
        cols, _, _, _ = r.metadata()
        p = Prepared(ident, meta, binds, pk, cols or [], cql)
        self.prepared[cql] = p
        return p

    def execute(self, p, values, page_size=None, state=None, ts=None):
        a = self._execute(p, values, page_size, state, ts)
        if isinstance(a, Failure) and a.kind == 'unprepared':
            p = self.prepare(p.text, again=True)
            a = p if isinstance(p, Failure) else self._execute(p, values, page_size, state, ts)
        return a

    def execute_held(self, p, values, ts=None):
        """Executes without metadata, which a driver has from when it prepared or was last told; prepares anew where the
        server asks for it. The answer, and what the driver has then."""
        a = self._execute(p, values, None, None, ts, True)
        if isinstance(a, Failure) and a.kind == 'unprepared':
            again = self.prepare(p.text, again=True)
            if isinstance(again, Failure):
                return again, p
            p = again
            a = self._execute(p, values, None, None, ts, True)
        if isinstance(a, Answer) and getattr(a, 'new_id', None):
            p = Prepared(p.id, a.new_id, p.binds, p.pk, a.columns, p.text)
        return a, p

    def _execute(self, p, values, page_size, state, ts, skip_metadata=False):
        body = struct.pack('>H', len(p.id)) + p.id
        if self.version >= 5:
            body += struct.pack('>H', len(p.meta_id)) + p.meta_id
        body += self._params(values, page_size, state, ts, skip_metadata)
        return self._answer(*self.request(10, body), columns=p.columns)

    def batch(self, kind, statements, ts=None):
        """statements: [(cql or Prepared, values)]; kind: 0 logged, 1 unlogged, 2 counter"""
        a = self._batch(kind, statements, ts)
        if isinstance(a, Failure) and a.kind == 'unprepared':
            a = self._batch(
                kind, [(w if isinstance(w, str) else self.prepare(w.text, again=True), v) for w, v in statements], ts
            )
        return a

    def _batch(self, kind, statements, ts):
        body = struct.pack('>BH', kind, len(statements))
        for what, values in statements:
            if isinstance(what, str):
                body += b'\0' + long_string(what)
            else:
                body += b'\1' + struct.pack('>H', len(what.id)) + what.id
            body += struct.pack('>H', len(values)) + b''.join(map(value, values))
        flags = 0x20 if ts is not None else 0
        body += struct.pack('>H', 1) + (struct.pack('>i', flags) if self.version >= 5 else bytes([flags]))
        if ts is not None:
            body += struct.pack('>q', ts)
        return self._answer(*self.request(13, body))
