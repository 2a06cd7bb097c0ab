#!/bin/sh
# Runs a command with a real S3-API server beside it (moto, installed into a private folder), its URL in
# SEALWAY_TEST_S3. usage: tests/s3.sh [COMMAND...]; without one, the object-store tests.
set -eu
cd "$(dirname "$0")/.."
home="${SEALWAY_S3_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/sealway/moto}"
if [ ! -x "$home/bin/moto_server" ]; then
    python3 -m venv "$home"
    "$home/bin/pip" install --quiet 'moto[server]==5.*'
fi
log=$(mktemp)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$home/bin/moto_server" -H 127.0.0.1 -p "$port" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT TERM
export SEALWAY_TEST_S3="http://127.0.0.1:$port"
python3 - "$SEALWAY_TEST_S3/sealway" <<'PYTHON' || { cat "$log"; exit 1; }
import sys, time, urllib.request
for attempt in range(100):
    try:
        urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="PUT"), timeout=5)
        break
    except OSError:
        time.sleep(0.2)
else:
    sys.exit("the S3-API server did not start")
PYTHON
if [ $# -eq 0 ]; then set -- cargo test -p repository --test it s3; fi
"$@"
