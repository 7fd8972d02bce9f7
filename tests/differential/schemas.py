"""Random tables and user types."""

from statements import Column, Schema
from values import Type, random_type, random_udt

COUNTER = Type('counter')


def compares_decimals(t, key):
    """Do equal decimals of other scales (1.5 and 1.50) meet inside it? key: in the primary key."""
    if key:
        return t.name != 'decimal' and any(x.name == 'decimal' for x in t.walk())
    return t.multi and t.name in ('set', 'map') and any(x.name == 'decimal' for x in t.args[0].walk())


def column_type(r, udts, avoid, key=False):
    while True:
        t = random_type(r, udts, 0, key)
        if 'equal-decimals' not in avoid or not compares_decimals(t, key):
            return t


def random_schema(r, tag, avoid=()):
    udts = []
    for i in range(r.choice([0, 0, 1, 2])):
        udts.append(random_udt(r, 'u%s_%d' % (tag, i), udts))
    cols = [Column('p%d' % i, random_type(r, udts, 0, True), 'pk') for i in range(r.choice([1, 1, 1, 2, 2, 3]))]
    nck = r.choice([0, 1, 1, 2, 2, 3, 4])
    for i in range(nck):
        cols.append(Column('c%d' % i, column_type(r, udts, avoid, True), 'ck', r.random() < 0.4))
    if r.random() < 0.08:
        cols += [Column('n%d' % i, COUNTER, 'regular') for i in range(r.randint(1, 3))]
        if nck and r.random() < 0.3:
            cols.append(Column('s0', COUNTER, 'static'))
        return Schema(cols, udts)
    if nck and r.random() < 0.45:
        cols += [Column('s%d' % i, column_type(r, udts, avoid), 'static') for i in range(r.randint(1, 2))]
    cols += [Column('v%d' % i, column_type(r, udts, avoid), 'regular') for i in range(r.choice([0, 1, 2, 3, 3, 4, 5]))]
    if r.random() < 0.1:
        c = r.choice(cols)
        odd = '"zé"' if 'column-order' in avoid else '"é"'
        c.name = r.choice(['"Cap"', '"with space"', '"select"', '"a""b"', 'key', 'value', 'type', odd])
    options = ['default_time_to_live = 70000'] if r.random() < 0.05 else []
    return Schema(cols, udts, options)
