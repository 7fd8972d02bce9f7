#!/usr/bin/env python3
"""Tests the tester against two servers of one build: cases run, the two don't differ, and a planted difference is found,
shrunk and reported.

usage: self_test.py PROGRAM     PROGRAM is a built `tholos`
"""

import contextlib
import io
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace

from client import Answer
from server import Server
from tester import Tester

CASES = range(1, 7)
KEYSPACE = 'self_test'


@contextlib.contextmanager
def serve(program):
    """A node in a directory of its own; gives its port."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        command = [str(program), 'serve', '--data', data, '--port', str(port), '--admin-port', '0']
        node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            node.terminate()
            node.wait(30)


def connect(kind, name, port):
    deadline = time.time() + 30
    while True:
        try:
            return kind(name, '127.0.0.1', port, 5, KEYSPACE)
        except OSError:
            if time.time() > deadline:
                raise
            time.sleep(0.05)


class Forgetful(Server):
    """Leaves out the last row of every answer of more than two."""

    def run(self, op, table, paged=True):
        answer = super().run(op, table, paged)
        if isinstance(answer, Answer) and op.kind == 'select' and len(answer.rows) > 2:
            answer.rows = answer.rows[:-1]
        return answer


def compare(a, b, tables):
    args = Namespace(known=None, out=None, writes=12, reads=30, shrink=True, shrink_seconds=10, per_bucket=1)
    tester = Tester(a, b, args)
    tester.tables, tester.out = tables, io.StringIO()
    for seed in CASES:
        tester.case(seed)
    return tester


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with serve(program) as one, serve(program) as other:
        a, b = connect(Server, 'A', one), connect(Server, 'B', other)
        a.setup(), b.setup()
        same = compare(a, b, 0)
        statements = same.stats['done'] + same.stats['refused by both']
        assert same.stats['differences'] == 0, same.out.getvalue()
        assert statements >= 300 and same.stats['select with rows'] >= 30, f'too little was compared: {same.stats}'

        forgetful = connect(Forgetful, 'B', other)
        forgetful.must('USE ' + KEYSPACE)
        found = compare(a, forgetful, 1000)
        reports = found.out.getvalue()
        assert found.stats['differences'] > 0, 'a planted difference was not found'
        assert '\n> SELECT' in reports and 'CREATE TABLE' in reports, reports
    print(f'{statements} statements, no difference; {found.stats["differences"]} planted ones found')


if __name__ == '__main__':
    main()
