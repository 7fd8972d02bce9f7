"""Random schemas, data and statements: everything follows from the seed."""

import random
import re

from reads import Reads
from schemas import random_schema
from statements import TABLE, Step
from values import ALL_DECIMALS, DISTINCT_DECIMALS, POOLS
from writes import Writes


class Generator(Writes, Reads):
    """The statements of one case. Nothing here knows whether a statement is valid: the two servers say."""

    def __init__(self, seed, tag, avoid=()):
        self.r, self.avoid = random.Random(seed), avoid
        # Either decimals of equal value stay out of keys and elements, or there are none in this case.
        self.distinct = self.chance(0.4)
        POOLS['decimal'] = DISTINCT_DECIMALS if self.distinct else ALL_DECIMALS
        if self.distinct:
            avoid = set(avoid) - {'equal-decimals'}
        self.schema = random_schema(self.r, tag, avoid)
        self.counter = any(c.type.name == 'counter' for c in self.schema.cols)
        self.domain = {}
        self.prep = False
        self.short = False  # some TTLs end before the reads begin
        for c in self.schema.cols:
            self.fill(c)

    def mutate(self, op):
        """A token dropped, doubled, swapped or replaced in the text."""
        text, vals = op.literal().render(TABLE)
        if vals:
            return op
        toks = re.findall(r"'(?:[^']|'')*'|\w+|\s+|\x01|[^\w\s]", text)
        i = self.r.randrange(len(toks))
        k = self.r.randrange(4)
        if k == 0:
            del toks[i]
        elif k == 1:
            toks.insert(i, toks[i])
        elif k == 2:
            j = self.r.randrange(len(toks))
            toks[i], toks[j] = toks[j], toks[i]
        else:
            toks[i] = self.pick(
                ['nosuch', '*', '(', ')', "'a'", '1', ',', '.', '[', 'null', '?', '$$', '-', '=', 'NaN', '0x0', ':x']
            )
        op.mutated, op.prepared = ''.join(toks), False
        return op

    def held(self):
        """A statement that is prepared now and executed later, perhaps when the schema has changed."""
        op = self.select() if self.chance(0.6) else self.modification()
        op.prepared, op.page = True, None
        return op

    def case(self, writes, reads):
        """The statements of one case. Each step's kind depends on the seed alone."""
        alter = not self.counter and self.chance(0.1)
        ops, held = [], []
        for block in range(3 if alter or self.counter else 5):
            self.short = self.chance(0.03)
            if block and not alter and not self.counter:
                ops.append(Step('reset'))
            for _ in range(self.r.randint(writes // 4, writes)):
                w = self.write()
                if self.chance(0.03) and w.kind != 'batch':
                    w = self.mutate(w)
                ops.append(w)
                if alter and self.chance(0.08):
                    ops.append(self.alter())
                if alter and self.chance(0.12):
                    held.append(self.held())
                    ops.append(Step('hold', subs=held[-1:]))
                if held and self.chance(0.25):
                    ops.append(Step('again', subs=[self.pick(held)]))
                if self.chance(0.03):
                    ops.append(Step(self.pick(['flush', 'flush', 'restart'])))
            if self.short:
                ops.append(Step('sleep'))
            ops.append(self.dump())
            for _ in range(reads // 3):
                q = self.select()
                ops.append(self.mutate(q) if self.chance(0.03) else q)
        return ops
