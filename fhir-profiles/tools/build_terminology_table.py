#!/usr/bin/env python3
"""Makes fhir-profiles/r4/terminology.txt: the code systems and value sets that FHIR R4 itself defines.

Use: build_terminology_table.py PACKAGE > terminology.txt   (PACKAGE: folder of hl7.fhir.r4.examples 4.0.1)

Facts only: urls, versions, names, codes, displays, hierarchy, composition; no definitions, no prose. One line each,
fields separated by tabs, `-` for an absent field:

  C url version name content case hierarchy     a code system; case 1 sensitive, 0 not, - unknown
  0 code display flags                          its concepts in document order; the number is the depth
                                                flags: a not selectable, r retired, d deprecated, i inactive,
                                                >code a further child
  V url version name                            a value set
  i system version  /  x system version         an include / an exclude of it
  c code display                                an enumerated concept of that include
  f property op value                           a filter of that include
  v canonical                                   a value set imported by that include

A code system without codes (`not-present`) and supplements are left out, as are examples that share a url with
nothing that R4 binds: what is not here is unknown, never wrong.
"""
import glob
import json
import os
import sys

HEAD = "# FHIR R4 4.0.1, from hl7.fhir.r4.examples 4.0.1 (CC0-1.0) by tools/build_terminology_table.py. Do not edit."


def text(value):
    if value in (None, ""):
        return "-"
    # Codes stay as they are, also those that the package publishes with odd spaces.
    for mark in "\t\r\n":
        value = str(value).replace(mark, " ")
    return value


def row(*fields):
    return "\t".join(text(field) for field in fields)


def flags(concept):
    out, children = "", []
    for prop in concept.get("property", []):
        code = prop["code"]
        if code in ("notSelectable", "abstract") and prop.get("valueBoolean") is True:
            out += "a"
        if code == "inactive" and prop.get("valueBoolean") is True:
            out += "i"
        if code == "status" and prop.get("valueCode") in ("retired", "deprecated"):
            out += prop["valueCode"][0]
        if code == "child" and "valueCode" in prop:
            children.append(">" + prop["valueCode"])
    return " ".join(part for part in [out, *children] if part)


def concepts(found, depth, lines):
    for concept in found:
        lines.append(row(depth, concept["code"], concept.get("display"), flags(concept)))
        concepts(concept.get("concept", []), depth + 1, lines)


def code_system(it):
    case = {True: 1, False: 0}.get(it.get("caseSensitive"))
    lines = [row("C", it["url"], it.get("version"), it.get("name"), it["content"], case, it.get("hierarchyMeaning"))]
    concepts(it.get("concept", []), 0, lines)
    return lines


def value_set(it):
    lines = [row("V", it["url"], it.get("version"), it.get("name"))]
    for mark, key in (("i", "include"), ("x", "exclude")):
        for part in it["compose"].get(key, []):
            lines.append(row(mark, part.get("system"), part.get("version")))
            lines += [row("c", one["code"], one.get("display")) for one in part.get("concept", [])]
            lines += [row("f", one["property"], one["op"], one["value"]) for one in part.get("filter", [])]
            lines += [row("v", one) for one in part.get("valueSet", [])]
    return lines


def main(package):
    def load(kind):
        names = sorted(glob.glob(os.path.join(package, kind + "-*.json")))
        found = [json.load(open(name, encoding="utf-8")) for name in names]
        return sorted(found, key=lambda it: it["url"])

    lines = [HEAD]
    for it in load("CodeSystem"):
        if it["content"] == "complete" and it.get("concept"):
            lines += code_system(it)
    for it in load("ValueSet"):
        if "compose" in it and "contained" not in it:
            lines += value_set(it)
    print("\n".join(lines))


main(sys.argv[1])
