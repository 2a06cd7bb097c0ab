#!/usr/bin/env bash
# Verdicts of HL7's validator and of ours on R4's examples and on mutants of them: run.sh PACKAGE [WORK]
#
# PACKAGE is the unpacked npm package hl7.fhir.r4.examples 4.0.1. Needs Maven, Java 17 and Python 3; without Maven it
# says so and compares with the verdicts that are checked in.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
package=${1:?the folder of hl7.fhir.r4.examples 4.0.1}
work=${2:-$(mktemp -d)}
mkdir -p "$work"
python3 "$here/known.py" expand examples "$package" > "$work/examples.known"
python3 "$here/mutants.py" "$package" "$root/fhir-profiles/r4/elements.txt" "$work/examples.known" "$work/mutants"
python3 "$here/known.py" expand mutants "$work/mutants" > "$work/mutants.known"
if command -v mvn > /dev/null && command -v java > /dev/null; then
  mvn -q -B -f "$here/pom.xml" compile dependency:build-classpath -Dmdep.outputFile="$work/classpath" -DbuildDirectory="$work/target"
  oracle=(java -Xmx4g -Xss16m -cp "$work/target/classes:$(cat "$work/classpath")" sealway.Oracle)
  "${oracle[@]}" "$package" "$work/examples.hl7"
  "${oracle[@]}" "$work/mutants" "$work/mutants.hl7"
else
  echo "SKIPPED: there is no Maven here; the verdicts that are checked in are used" >&2
  cp "$work/examples.known" "$work/examples.hl7"
  cp "$work/mutants.known" "$work/mutants.hl7"
fi
(cd "$root" && cargo build -q -p profile --example judge)
judge="${CARGO_TARGET_DIR:-$root/target}/debug/examples/judge"
"$judge" "$package" "$work/examples.ours" "$package" 2> "$work/gaps"
"$judge" "$work/mutants" "$work/mutants.ours" "$package" 2> /dev/null
python3 "$here/compare.py" "$work/examples.hl7" "$work/examples.ours"
python3 "$here/compare.py" "$work/mutants.hl7" "$work/mutants.ours"
