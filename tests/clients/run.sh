#!/usr/bin/env bash
# Runs unmodified FHIR clients, at pinned versions, against a gateway that is started for each of them.
#
#   tests/clients/run.sh [--engine sqlite|postgres|both] [fhir-kit-client|fhirclient|medplum|fhirpy|fhirclient-py|fhir-resources|hapi]...
#
# Without names: all whose tools (node and npm, python3, mvn) are here; what is left out is said loudly. SEALWAY_BIN names
# the gateway's binary (default: a debug build of this checkout). Packages are kept in ~/.cache/sealway/clients.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
engine=both wanted=()
while [ $# -gt 0 ]; do
  case $1 in
    --engine) engine=$2; shift 2 ;;
    -*) sed -n '2,7p' "$0"; exit 2 ;;
    *) wanted+=("$1"); shift ;;
  esac
done
[ "${#wanted[@]}" -gt 0 ] || wanted=(fhir-kit-client fhirclient medplum fhirpy fhirclient-py fhir-resources hapi)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sealway/clients
target=${CARGO_TARGET_DIR:-$HOME/.cache/sealway/target}
sealway=${SEALWAY_BIN:-}
# The gateway refuses SEALWAY_ variables that it does not know.
unset ${!SEALWAY_@}
work=$(mktemp -d)
server= results=() failed=0
have() { command -v "$1" >/dev/null 2>&1; }

if [ -z "$sealway" ]; then
  (cd "$root" && CARGO_TARGET_DIR=$target cargo build --locked --quiet -p gateway --bin sealway)
  sealway=$target/debug/sealway
fi

stop() {
  [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; server=; }
}
finish() { stop; [ -z "${CLUSTER_PID:-}" ] || exec 9>&- ; rm -rf "$work"; }
trap finish EXIT
trap 'exit 130' INT TERM

# start NAME [serve arguments]: a gateway on a free port with an empty store; sets SEALWAY_BASE and SEALWAY_TOKEN.
start() {
  local name=$1 port; shift
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$sealway" serve --data-dir "$work/$name" --dev-issuer --listen "127.0.0.1:$port" "$@" >"$work/$name.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$work/$name.log" >&2; exit 1; }
    sleep 0.1
  done
  base=http://127.0.0.1:$port/fhir
  token=$("$sealway" token --role system --data-dir "$work/$name")
}

node_client() { have node && have npm || return 3
  mkdir -p "$cache/node"
  cp "$here"/node/*.mjs "$here"/node/*.json "$here/node/.npmrc" "$cache/node/"
  cmp -s "$cache/node/package-lock.json" "$cache/node/installed.json" ||
    { (cd "$cache/node" && npm ci --ignore-scripts --omit=optional --silent) &&
      cp "$cache/node/package-lock.json" "$cache/node/installed.json"; } || return 4
  (cd "$cache/node" && timeout 120 node "$1.mjs"); }
python_client() { have python3 || return 3
  cmp -s "$here/python/requirements.txt" "$cache/python/installed.txt" ||
    { python3 -m venv "$cache/python" && "$cache/python/bin/pip" install --quiet -r "$here/python/requirements.txt" &&
      cp "$here/python/requirements.txt" "$cache/python/installed.txt"; } || return 4
  PYTHONDONTWRITEBYTECODE=1 timeout 120 "$cache/python/bin/python" "$here/python/$1.py"; }
java_client() { have mvn || return 3
  mkdir -p "$cache/java" && cp -r "$here/java/pom.xml" "$here/java/src" "$cache/java/"
  (cd "$cache/java" && mvn -q -B compile) || return 4
  (cd "$cache/java" && timeout 300 mvn -q -B exec:java); }

run() {
  case $1 in
    fhir-kit-client|fhirclient|medplum) node_client "$1" ;;
    fhirpy) python_client fhirpy_client ;;
    fhirclient-py) python_client fhirclient_client ;;
    fhir-resources) python_client fhir_resources_client ;;
    hapi) java_client ;;
    *) echo "no client is called $1" >&2; return 2 ;;
  esac
}

each_on() {
  local on=$1 client code; shift
  start "$on" "$@"
  for client in "${wanted[@]}"; do
    code=0
    (export SEALWAY_BASE=$base SEALWAY_TOKEN=$token; run "$client") || code=$?
    case $code in
      0) results+=("passed   $on   $client") ;;
      3) results+=("SKIPPED  $on   $client: its tools are not here") ;;
      4) results+=("SKIPPED  $on   $client: its packages could not be fetched") ;;
      *) results+=("FAILED   $on   $client"); failed=1 ;;
    esac
  done
  stop
}

[ "$engine" = postgres ] || each_on sqlite
if [ "$engine" != sqlite ]; then
  programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
  if [ -n "$programs" ]; then
    mkfifo "$work/cluster"
    sh "$root/registry/tests/it/cluster.sh" "$programs" <"$work/cluster" >"$work/folder" &
    CLUSTER_PID=$!
    exec 9>"$work/cluster"
    for _ in $(seq 300); do [ -s "$work/folder" ] && break; sleep 0.1; done
    folder=$(head -1 "$work/folder")
    "$programs/psql" -qh "$folder" -U sealway postgres -c 'create database clients'
    each_on postgres --database "postgres://sealway@localhost/clients?host=$folder"
    exec 9>&-
    wait "$CLUSTER_PID" || true
    CLUSTER_PID=
  else
    results+=("SKIPPED  postgres: no /usr/lib/postgresql/*/bin")
  fi
fi
printf '\n'
printf '%s\n' "${results[@]}"
exit "$failed"
