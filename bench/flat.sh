#!/usr/bin/env bash
# Does a query slow down when what it does not match grows? Two gateways, one with sixteen times the other's filling, are
# asked the same shapes in turn, A B A B; the table is large corpus over small: p50 (on a busy machine: cpu) above 1.5 is a shape that is not flat.
#
#   bench/flat.sh [--postgres] [--scale 2] [--rounds 3] [--seconds 2] [--out DIR]
#
# SEALWAY_BIN: the gateway (default: a release build of this checkout). Needs what compare.sh needs.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
postgres=false scale=2 rounds=3 seconds=2 out=
while [ $# -gt 0 ]; do
  case $1 in
    --postgres) postgres=true; shift ;;
    --scale) scale=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) sed -n '2,8p' "$0"; exit 2 ;;
  esac
done
out=${out:-$(mktemp -d)}
target=${CARGO_TARGET_DIR:-$HOME/.cache/sealway/target}
sealway=${SEALWAY_BIN:-}
unset SEALWAY_BIN
work=$(mktemp -d)
servers=() folder=
mkdir -p "$out"
finish() {
  for server in "${servers[@]}"; do kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; done
  exec 9>&- || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
(cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --quiet -p bench)
[ -n "$sealway" ] || (cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --quiet -p gateway --bin sealway)
sealway=${sealway:-$target/release/sealway} bench=$target/release/sealway-bench
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
if $postgres; then
  programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
  mkfifo "$work/cluster"
  sh "$root/registry/tests/it/cluster.sh" "$programs" <"$work/cluster" >"$work/folder" &
  exec 9>"$work/cluster"
  for _ in $(seq 300); do [ -s "$work/folder" ] && break; sleep 0.1; done
  folder=$(head -1 "$work/folder")
fi
declare -A url pid
for size in small large; do
  units=$scale; [ $size = small ] || units=$((scale * 16))
  database=()
  if $postgres; then
    "$programs/psql" -qh "$folder" -U sealway postgres -c "create database $size"
    database=(--database "postgres://sealway@localhost/$size?host=$folder")
  fi
  port=$(free_port)
  "$sealway" serve --dev-issuer --data-dir "$work/$size" --listen "127.0.0.1:$port" "${database[@]}" >"$work/$size.log" 2>&1 &
  pid[$size]=$!
  servers+=("${pid[$size]}")
  url[$size]=http://127.0.0.1:$port/fhir
  "$bench" wait --url "${url[$size]}" --pid "${pid[$size]}" || { tail -20 "$work/$size.log"; exit 1; }
  "$sealway" token --role system --data-dir "$work/$size" >"$work/$size.token"
  "$bench" run flat-fill --scale "$units" --url "${url[$size]}" --token-file "$work/$size.token" >/dev/null
  if $postgres; then "$programs/psql" -qh "$folder" -U sealway "$size" -c analyze; fi
done
files=()
for round in $(seq "$rounds"); do
  for size in small large; do
    "$bench" run flat --clients 1 --seconds "$seconds" --url "${url[$size]}" --token-file "$work/$size.token" --name "$size" --pid "${pid[$size]}" \
      --json "$out/$size-$round.json" >/dev/null
  done
  files+=(--a "$out/large-$round.json" --b "$out/small-$round.json")
done
"$bench" compare "${files[@]}" | tee "$out/flat.txt"
