#!/usr/bin/env bash
# Compares a Tholos of its own, flushed and killed between the steps, with a reference: long.sh PROGRAM REFERENCE MINUTES [OPTION...]
# Fails when a difference is found that known.json does not have.
set -euo pipefail
program=$(realpath "$1") reference=$2 minutes=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
data=$(mktemp -d) port=${THOLOS_PORT:-19042}

start() {
    "$program" serve --data "$data" --port "$port" --admin-port 0 >>"$data.log" 2>&1 &
    echo $! >"$data.pid"
}
trap 'kill "$(cat "$data.pid")" 2>/dev/null || true; rm -rf "$data" "$data.pid" "$data.log"' EXIT
: >"$data.log"
start
until grep -q ready "$data.log"; do sleep 0.1; done

# the port and the directory are free once the killed process is gone
restart="p=\$(cat $data.pid); kill -9 \$p; while kill -0 \$p 2>&-; do sleep 0.05; done; $program serve --data $data --port $port --admin-port 0 >>$data.log 2>&1 & echo \$! >$data.pid"
flush="$program snapshot create flush --data $data; $program snapshot delete flush --data $data"
"$here/run.py" --a "127.0.0.1:$port" --b "$reference" --minutes "$minutes" --flush-a "$flush" --restart-a "$restart" \
    --seed "$(date +%s)" --fail "$@"
