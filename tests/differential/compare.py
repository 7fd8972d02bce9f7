"""What two answers differ in, and how that is told."""

import re

from client import Answer, Failure
from values import show

# Differences that depend on what was written.
DATA = {'contents', 'rows', 'order'}


def close_ttl(a, b):
    """TTLs read a moment apart."""
    if a is None or b is None or len(a) != len(b):
        return a == b
    if len(a) == 4:
        return abs(int.from_bytes(a, 'big') - int.from_bytes(b, 'big')) <= 5
    for i in range(4, len(a), 8):  # a list of them
        n, m = a[i : i + 4], b[i : i + 4]
        if n != m:
            return False
        if (
            n != b'\xff' * 4
            and abs(int.from_bytes(a[i + 4 : i + 8], 'big') - int.from_bytes(b[i + 4 : i + 8], 'big')) > 5
        ):
            return False
        if n == b'\xff' * 4:
            return a[i:].count(b'\xff' * 4) == b[i:].count(b'\xff' * 4)
    return True


def same_row(cols, a, b):
    return all(x == y or 'ttl(' in c[0] and close_ttl(x, y) for c, x, y in zip(cols, a, b))


def differ(op, a, b):
    """All differences: [(kind, detail)]."""
    if isinstance(a, Failure) or isinstance(b, Failure):
        if isinstance(a, Failure) and isinstance(b, Failure):
            return [] if a.kind == b.kind else [('error class', '')]
        return [('refused by A' if isinstance(a, Failure) else 'refused by B', '')]
    if a.kind != b.kind:
        return [('answer kind', '')]
    if a.kind in ('schema', 'keyspace'):
        return [] if a.detail == b.detail else [('answer detail', '')]
    out = []
    if hasattr(a, 'binds') and hasattr(b, 'binds'):
        out += pairs('bind names', [c[0] for c in a.binds], [c[0] for c in b.binds])
        out += pairs('bind types', [c[1] for c in a.binds], [c[1] for c in b.binds])
        out += pairs('bind pk', [a.pk], [b.pk])
    if a.kind != 'rows':
        return out
    out += pairs('column names', [c[0] for c in a.columns], [c[0] for c in b.columns])
    out += pairs('column types', [c[1] for c in a.columns], [c[1] for c in b.columns])
    if a.columns != b.columns and [c[1] for c in a.columns] != [c[1] for c in b.columns]:
        return out
    if len(a.rows) == len(b.rows) and all(same_row(a.columns, x, y) for x, y in zip(a.rows, b.rows)):
        return out
    if op.loose:
        return out if len(a.rows) == len(b.rows) else out + [('rows', '')]

    def key(row):
        return tuple((x is not None, x or b'') for x in row)

    if sorted(a.rows, key=key) == sorted(b.rows, key=key):
        return out + [('order', '')]
    return out + [('contents' if op.kind == 'dump' else 'rows', where(a, b))]


def where(a, b):
    """Where two sets of rows first differ, in words that make buckets."""
    if len(a.rows) != len(b.rows):
        return 'A has %s rows' % ('more' if len(a.rows) > len(b.rows) else 'fewer')
    out = []
    for x, y in zip(a.rows, b.rows):
        for (name, kind), v, w in zip(a.columns, x, y):
            if v != w and not ('ttl(' in name and close_ttl(v, w)):
                f = re.sub(r'[^(]*$', '', name)
                out.append(
                    '%s%s %s'
                    % (
                        f,
                        re.match(r'\w+', kind.replace('[json]', 'json')).group(),
                        'A null' if v is None else 'B null' if w is None else 'both',
                    )
                )
    return '; '.join(sorted(set(out))[:3])


def pairs(kind, a, b):
    if len(a) != len(b):
        return [(kind, '%d => %d' % (len(a), len(b)))]
    return [(kind, d) for d in dict.fromkeys('%s => %s' % (x, y) for x, y in zip(a, b) if x != y)]


def text_of(x, other=None):
    if isinstance(x, Failure):
        return '%s: %s' % (x.kind, x.message)
    if x.kind != 'rows':
        return ' '.join([x.kind, *x.detail]) + (' binds %s pk %s' % (x.binds, x.pk) if hasattr(x, 'binds') else '')
    head = ' | '.join(c[0] for c in x.columns)
    if isinstance(other, Answer) and other.kind == 'rows' and other.columns != x.columns:
        head = ' | '.join('%s %s' % c for c in x.columns)
    lines = [' | '.join(show(v, c[1]) for v, c in zip(row, x.columns)) for row in x.rows[:12]]
    if len(x.rows) > 12:
        lines.append('... %d rows' % len(x.rows))
    if hasattr(x, 'binds') and x.binds != getattr(other, 'binds', x.binds):
        head += '   binds %s' % (x.binds,)
    if hasattr(x, 'pk') and x.pk != getattr(other, 'pk', x.pk):
        head += '   pk %s' % (x.pk,)
    return '\n'.join([head] + lines)


def normal(text):
    """A message without names and values, to tell buckets apart."""
    text = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`", 'Q', text)
    text = re.sub(r'\b[pcsvan]\d\b|\b[tu]\d+(_\d+)*\b|0x[0-9a-f]*|\bdifft\w*', 'X', text)
    return re.sub(r'-?\d+', 'N', text)[:160]
