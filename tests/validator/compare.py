#!/usr/bin/env python3
"""Compares two lists of verdicts: compare.py HL7S OURS [shown]. Prints agreement and the files that differ."""

import sys


def verdicts(path):
    found = {}
    for line in open(path, encoding="utf-8"):
        name, verdict, *why = line.rstrip("\n").split("\t")
        found[name] = (verdict, why[0] if why else "")
    return found


def main(hl7, ours, shown="40"):
    hl7, ours = verdicts(hl7), verdicts(ours)
    both = sorted(set(hl7) & set(ours))
    differ = [name for name in both if hl7[name][0] != ours[name][0]]
    missed = [name for name in differ if hl7[name][0] == "error"]
    alone = [name for name in differ if ours[name][0] == "error"]
    share = 100 * (len(both) - len(differ)) / max(1, len(both))
    print(f"{len(both)} files, {share:.2f} % agree; only HL7's finds errors in {len(missed)}, only ours in {len(alone)}")
    for title, names, of in (("only HL7's", missed, hl7), ("only ours", alone, ours)):
        for name in names[: int(shown)]:
            print(f"  {title}: {name}: {of[name][1][:260]}")
    return 0 if share >= 99 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
