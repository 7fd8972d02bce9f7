#!/usr/bin/env python3
"""Differential tester: the same random statements on two CQL servers, every difference shrunk and reported.
See README.md. Nothing but Python 3.9 or later is needed."""

import argparse
import os
import sys
import time

from client import Failure
from generate import Generator
from server import Server
from tester import Tester

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--a', default='127.0.0.1:9042', help='server under test, HOST:PORT')
    p.add_argument('--b', default='127.0.0.1:9043', help='reference, HOST:PORT')
    p.add_argument('--flush-a', help='shell command that makes A write its memtables to disk')
    p.add_argument('--flush-b')
    p.add_argument('--restart-a', help='shell command that kills A and starts it again')
    p.add_argument('--protocol', type=int, default=5)
    p.add_argument(
        '--keyspace', default='difft_%d' % time.time(), help='a new one; it stays (dropping is slow in Cassandra)'
    )
    p.add_argument('--seed', type=int, default=1, help='of the first case')
    p.add_argument('--cases', type=int, default=10**9)
    p.add_argument('--minutes', type=float, default=10**9)
    p.add_argument('--writes', type=int, default=20)
    p.add_argument('--reads', type=int, default=90)
    p.add_argument(
        '--known', default=os.path.join(HERE, 'known.json'), help='differences that are counted, not reported'
    )
    p.add_argument('--out', help='append reports to this file instead of printing them')
    p.add_argument('--per-bucket', type=int, default=1, help='reports of one bucket')
    p.add_argument('--no-shrink', dest='shrink', action='store_false')
    p.add_argument('--shrink-seconds', type=float, default=25)
    p.add_argument('--fail', action='store_true', help='exit with 1 when something is reported')
    p.add_argument('--show', action='store_true', help='print the statements of one case (--seed) and exit')
    args = p.parse_args()
    if args.show:
        g = Generator(args.seed, str(args.seed))
        print('\n'.join(g.schema.create_types() + [g.schema.create('t')]))
        for i, o in enumerate(Generator(args.seed, str(args.seed)).case(args.writes, args.reads)):
            print(i, o.show())
        return

    def host(s):
        return (s.rsplit(':', 1)[0], int(s.rsplit(':', 1)[1]))

    a = Server('Tholos', *host(args.a), args.protocol, args.keyspace, args.flush_a, args.restart_a)
    b = Server('Cassandra', *host(args.b), args.protocol, args.keyspace, args.flush_b)
    a.setup(), b.setup()
    t = Tester(a, b, args)
    end, seed = time.time() + args.minutes * 60, args.seed
    started = time.time()
    try:
        while seed < args.seed + args.cases and time.time() < end:
            try:
                t.case(seed)
            except (RuntimeError, OSError, EOFError) as e:
                t.stats['cases given up'] += 1
                t.report(seed, 'case given up', repr(e), Failure('', ''), Failure('', ''), [])
                a.reconnect(), b.reconnect()
            seed += 1
            if (seed - args.seed) % 20 == 0:
                print(
                    '%5.0fs case %d: %d statements, %d differences (%d known), %d buckets'
                    % (
                        time.time() - started,
                        seed,
                        t.stats['done'] + t.stats['refused by both'],
                        t.stats['differences'],
                        sum(t.known_hits.values()),
                        len(t.buckets),
                    ),
                    file=sys.stderr,
                    flush=True,
                )
    except KeyboardInterrupt:
        pass
    print('cases %d-%d in %.0f s' % (args.seed, seed - 1, time.time() - started))
    print('statements:', dict(t.stats))
    print('known:', dict(t.known_hits.most_common()))
    print('buckets:')
    for sig, n in sorted(t.buckets.items(), key=lambda kv: -kv[1]):
        print('%6d  %s' % (n, sig))
    sys.exit(1 if args.fail and t.buckets else 0)


if __name__ == '__main__':
    main()
