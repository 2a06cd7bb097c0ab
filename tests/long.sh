#!/usr/bin/env bash
# The long forms of what CI runs shortened, on both engines: tests/long.sh [STEP…], all steps by default.
#
#   oracle      every way in which every search parameter is advertised, over random resources with SEALWAY_MATRIX seeds (4),
#               the engines beside each other
#   scans       full scans beside 10,000 writes
#   histories   SEALWAY_HISTORIES random concurrent histories an engine (50), checked for serializability
#   crashes     200 kills, 500 cuts of power, 450 failed writes and fsyncs
#   flips       1,000 alterations of what is stored, each found by fsck
#   fuzz        ten million executions each: JSON, XML, patches, queries
#   validator   verdicts beside HL7's validator; SEALWAY_R4_EXAMPLES is the unpacked hl7.fhir.r4.examples 4.0.1
#   clients     seven unmodified clients of others
#   synthea     the same queries as the oracle's over all of ../shared/data/synthea, or over SEALWAY_BUNDLES of its patients; an hour
#               or more. Its differences and how far it is stand in the step's file while it runs
#
# Two to three hours on two cores. A step that fails does not keep the others from running; what each printed stays in the
# folder that is named at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
logs=$(mktemp -d)
failed=()

# on_both ARGUMENTS…: the oracle's tests that they choose, the engines beside each other.
on_both() {
  local -x SEALWAY_FULL=1 SEALWAY_MATRIX="${SEALWAY_MATRIX:-4}"
  cargo test --release --locked -p registry --test it --no-run || return 1
  SEALWAY_ENGINE=sqlite cargo test --release --locked -p registry --test it oracle -- --nocapture "$@" &
  local sqlite=$! verdict=0
  SEALWAY_ENGINE=postgres cargo test --release --locked -p registry --test it oracle -- --nocapture "$@" || verdict=1
  wait "$sqlite" || verdict=1
  return "$verdict"
}
oracle() { on_both --skip synthea; }
synthea() { on_both --skip every_advertised --skip fixtures --skip refused; }
scans() { SEALWAY_FULL=1 cargo test --locked -p registry --test it scan; }
histories() { SEALWAY_HISTORIES="${SEALWAY_HISTORIES:-50}" cargo test --locked -p gateway --test it serial; }
crashes() {
  SEALWAY_KILLS=200 cargo test --locked -p gateway --test it crash &&
    SEALWAY_CUTS=500 SEALWAY_FAULTS=450 cargo test --locked -p registry --test it -- cuts faults
}
flips() { SEALWAY_FLIPS=1000 cargo test --locked -p gateway --test it fsck::flips; }
fuzz() {
  SEALWAY_QUERIES=10000000 cargo test --locked -p registry --test it query_fuzz || return 1
  for target in json_reader xml_reader patch; do
    (cd fuzz && cargo run --release --locked --bin soak -- "$target" 10000000) || return 1
  done
}
validator() {
  if [ ! -d "${SEALWAY_R4_EXAMPLES:-/nonexistent}" ]; then
    echo "SEALWAY_R4_EXAMPLES is not the folder of hl7.fhir.r4.examples 4.0.1" >&2
    return 1
  fi
  tests/validator/run.sh "$SEALWAY_R4_EXAMPLES"
}
clients() { cargo build --locked -p gateway --bin sealway && SEALWAY_BIN="$CARGO_TARGET_DIR/debug/sealway" tests/clients/run.sh; }

all=(oracle scans histories crashes flips fuzz validator clients synthea)
for step in "${@:-${all[@]}}"; do
  case " ${all[*]} " in *" $step "*) ;; *) sed -n '2,18p' "$0"; exit 2 ;; esac
done
for step in "${@:-${all[@]}}"; do
  printf '%s  %-10s ' "$(date -u +%H:%M:%S)" "$step"
  since=$SECONDS
  if "$step" >"$logs/$step" 2>&1; then verdict=ok; else verdict=FAILED failed+=("$step"); fi
  # A step that asks nothing has shown nothing.
  if [ "$verdict" = ok ] && grep -q '^running ' "$logs/$step" && ! grep -Eq '^test result: ok\. [1-9]' "$logs/$step"; then
    verdict='FAILED (no test ran)'; failed+=("$step")
  fi
  printf '%s, %d s\n' "$verdict" $((SECONDS - since))
done
echo "what each step printed: $logs"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
