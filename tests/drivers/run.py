#!/usr/bin/env python3
"""Runs the driver matrix against a `tholos serve` of its own. See README.md.

usage: run.py TARGET_DIR [NAME ...]     NAME limits the run, such as `python` or `java-v5-lz4`

TARGET_DIR holds the built `tholos` program and takes what the scenario programs are built into. Needs python3 with
requirements.txt installed (this interpreter), node + npm, go, a JDK with Maven, and cargo.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(sys.argv[1]).resolve()
ONLY = sys.argv[2:]
BUILD = TARGET / "drivers"
LIMIT_SECONDS = 300


def run(command, cwd, **environment):
    subprocess.run(command, cwd=cwd, check=True, env=dict(os.environ, **environment))


def build_node():
    target = BUILD / "node"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "scenario.js"):
        shutil.copy(HERE / "node" / name, target)
    run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], target)
    return ["node", str(target / "scenario.js")]


def build_go():
    run(["go", "build", "-o", str(BUILD / "go-scenario"), "."], HERE / "go")
    return [str(BUILD / "go-scenario")]


def build_java():
    target = BUILD / "java"
    shutil.copytree(HERE / "java", target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target"))
    run(["mvn", "-q", "-B", "compile"], target)
    classpath = (target / "target" / "classpath").read_text().strip()
    return ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{target / 'target' / 'classes'}:{classpath}", "Scenario"]


def build_rust():
    run(["cargo", "build", "--quiet"], HERE / "rust", CARGO_TARGET_DIR=str(BUILD / "rust"))
    return [str(BUILD / "rust" / "debug" / "driver-scenario")]


def python(name):
    return lambda: [sys.executable, str(HERE / name / "scenario.py")]


# client, how to build it, protocol versions, compressions
MATRIX = [
    ("python", python("python"), (4, 5), ("none", "lz4")),
    ("rust", build_rust, (4,), ("none", "lz4")),
    ("java", build_java, (4, 5), ("none", "lz4")),
    ("go", build_go, (4, 5), ("none", "lz4")),
    ("node", build_node, (4,), ("none",)),
    ("cqlsh", python("cqlsh"), (4, 5), ("none",)),
]


class Server:
    """A server on a port that stays the same over restarts."""

    def __init__(self, data):
        self.data, self.port, self.process = data, 0, None

    def start(self):
        began = time.monotonic()
        self.process = subprocess.Popen(
            [str(TARGET / "tholos"), "serve", "--data", self.data, "--port", str(self.port), "--admin-port", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            ready = re.search(r"drivers connect to \S+:(\d+) ", line)
            if ready:
                self.port = int(ready.group(1))
                self._drain(self.process.stdout)
                return time.monotonic() - began
        raise SystemExit("the server did not start:\n" + "".join(said))

    def _drain(self, pipe):
        threading.Thread(target=lambda: [sys.stderr.write("server: " + line) for line in pipe], daemon=True).start()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit("the server did not stop within 60 s of SIGTERM")
        if how == signal.SIGTERM and self.process.returncode != 0:
            raise SystemExit(f"the server ended with {self.process.returncode} after SIGTERM")


def scenario(command, version, compression, server):
    """Runs one program; gives back its steps that passed, and what went wrong."""
    program = subprocess.Popen(
        command + ["127.0.0.1", str(server.port), str(version), compression],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killer = subprocess.Popen(["sh", "-c", f"sleep {LIMIT_SECONDS}; kill -9 {program.pid}"], start_new_session=True)
    steps, other = [], []
    try:
        for line in program.stdout:
            line = line.rstrip("\n")
            if line.startswith("ok "):
                steps.append(line[3:])
            elif line == "RESTART":
                server.stop()
                server.start()
                program.stdin.write("\n")
                program.stdin.flush()
            else:
                other.append(line)
        program.wait()
    finally:
        os.killpg(killer.pid, signal.SIGKILL)
        killer.wait()
    return steps, None if program.returncode == 0 else "\n".join(other[-40:]) or f"exit code {program.returncode}"


def main():
    BUILD.mkdir(parents=True, exist_ok=True)
    failed = 0
    passed = 0
    with tempfile.TemporaryDirectory() as data:
        server = Server(data)
        server.start()
        for client, build, versions, compressions in MATRIX:
            runs = [(f"{client}-v{v}-{c}", v, c) for v in versions for c in compressions]
            runs = [r for r in runs if not ONLY or any(o in (client, r[0]) for o in ONLY)]
            if not runs:
                continue
            command = build()
            for name, version, compression in runs:
                began = time.monotonic()
                steps, wrong = scenario(command, version, compression, server)
                seconds = time.monotonic() - began
                print(f"{'ok  ' if wrong is None else 'FAIL'} {name:16} {seconds:5.1f} s  {' '.join(steps)}", flush=True)
                if wrong is not None:
                    failed += 1
                    print("     after the last step above:\n" + wrong, flush=True)
                    if server.process.poll() is not None:
                        raise SystemExit("the server is gone")
                else:
                    passed += 1
        server.stop()
    print(f"driver matrix: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
