#!/usr/bin/env python3
"""HL7's verdicts as checked in (verdicts.txt: the rarer verdict of each list by name) and as full lists.

known.py expand examples FOLDER > LIST      the verdict of each file of a folder
known.py shrink EXAMPLES MUTANTS > verdicts.txt
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
RARER = {"examples": "error", "mutants": "valid"}


def expand(of, folder):
    rare = {line.split("\t")[1] for line in lines() if line.startswith(of + "\t")}
    other = "valid" if RARER[of] == "error" else "error"
    for file in sorted(Path(folder).glob("*.json")):
        print(f"{file.name}\t{RARER[of] if file.name in rare else other}\t")


def lines():
    return (HERE / "verdicts.txt").read_text(encoding="utf-8").splitlines()


def shrink(examples, mutants):
    for of, path in (("examples", examples), ("mutants", mutants)):
        for line in open(path, encoding="utf-8"):
            name, verdict = line.split("\t")[:2]
            if verdict == RARER[of]:
                print(f"{of}\t{name}")


if __name__ == "__main__":
    {"expand": expand, "shrink": shrink}[sys.argv[1]](*sys.argv[2:])
