#!/usr/bin/env python3
"""Expectations for the terminology tests, computed naively from the R4 package itself.

Use: make.py PACKAGE   (folder of hl7.fhir.r4.examples 4.0.1); writes expansions.txt and subsumptions.txt beside itself.

Shares nothing with the crate: it reads the published resources, not our table, and walks them with plain sets. A line
has the url, the number of codes (or of pairs where the first strictly includes the second), and the FNV-1a 64 hash of
the sorted lines `system|code` (or `a>b`). `?` stands for a value set that draws from a code system R4 does not contain.
"""
import glob
import json
import os
import pathlib
import re
import sys

PACKAGE = sys.argv[1]
HERE = pathlib.Path(__file__).parent


class Unknown(Exception):
    pass


def load(kind):
    found = [json.load(open(name, encoding="utf-8")) for name in glob.glob(os.path.join(PACKAGE, kind + "-*.json"))]
    return {it["url"]: it for it in found}


SYSTEMS = {url: it for url, it in load("CodeSystem").items() if it["content"] == "complete" and it.get("concept")}
SETS = {url: it for url, it in load("ValueSet").items() if "compose" in it and "contained" not in it}


def fnv(lines):
    value = 0xCBF29CE484222325
    for byte in "".join(line + "\n" for line in sorted(lines)).encode():
        value = ((value ^ byte) * 0x100000001B3) % (1 << 64)
    return f"{value:016x}"


def flat(system):
    """code -> set of its direct parents' codes"""
    found = {}

    def walk(concepts, above):
        for one in concepts:
            found.setdefault(one["code"], set()).update(above)
            for prop in one.get("property", []):
                if prop["code"] == "child" and "valueCode" in prop:
                    extra.append((one["code"], prop["valueCode"]))
            walk(one.get("concept", []), [one["code"]])

    extra = []
    walk(SYSTEMS[system]["concept"], [])
    for parent, child in extra:
        if child in found and child != parent:
            found[child].add(parent)
    return found


def ancestors(code, parents):
    seen, todo = set(), list(parents[code])
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += parents[one]
    return seen


def criterion(flt, parents):
    prop, op, value = flt["property"], flt["op"], flt["value"]
    if prop not in ("concept", "code"):
        raise Unknown
    if op == "is-a":
        return {c for c in parents if c == value or value in ancestors(c, parents)}
    if op == "descendent-of":
        return {c for c in parents if value in ancestors(c, parents)}
    if op == "is-not-a":
        return {c for c in parents if c != value and value not in ancestors(c, parents)}
    if op == "regex":
        return {c for c in parents if re.fullmatch(value, c)}
    raise Unknown


def part(inc):
    found = None
    if "system" in inc:
        system = inc["system"]
        known = system in SYSTEMS and inc.get("version") in (None, SYSTEMS[system].get("version"))
        if "concept" in inc:
            codes = {one["code"] for one in inc["concept"]}
            if known:
                codes &= set(flat(system))
        elif known:
            parents = flat(system)
            codes = set(parents)
            for flt in inc.get("filter", []):
                codes &= criterion(flt, parents)
        else:
            raise Unknown
        found = {system + "|" + code for code in codes}
    for url in inc.get("valueSet", []):
        other = expand(url)
        found = other if found is None else found & other
    return found or set()


def expand(url):
    url = url.split("|")[0]
    if url not in SETS:
        raise Unknown
    compose = SETS[url]["compose"]
    found = set()
    for inc in compose["include"]:
        found |= part(inc)
    for exc in compose.get("exclude", []):
        found -= part(exc)
    return found


def main():
    lines = []
    for url in sorted(SETS):
        try:
            codes = expand(url)
            lines.append(f"{url}\t{len(codes)}\t{fnv(codes)}")
        except Unknown:
            lines.append(f"{url}\t?\t-")
    (HERE / "expansions.txt").write_text("\n".join(lines) + "\n")
    lines = []
    for url in sorted(SYSTEMS):
        parents = flat(url)
        if not any(parents.values()) or len(parents) > 600 or len({c.lower() for c in parents}) != len(parents):
            continue
        pairs = [f"{a}>{b}" for b in parents for a in ancestors(b, parents) if a != b]
        lines.append(f"{url}\t{len(pairs)}\t{fnv(pairs)}")
    (HERE / "subsumptions.txt").write_text("\n".join(lines) + "\n")


main()
