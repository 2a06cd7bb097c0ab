#!/usr/bin/env python3
"""Makes rules.txt, extensions.txt and codes.txt in fhir-profiles/r4 from the R4 definitions: facts, and what each rule
says to people.

Input: the unpacked npm package hl7.fhir.r4.examples 4.0.1 (CC0), see README.md:
    build_rule_table.py package folder

rules.txt, read by profile/src/rules.rs, one record a line:
    !key severity expression<TAB>text an invariant; severity is e (error) or w (warning); the text is the standard's own
    @Type !key …                      a type or backbone element, with the invariants on itself
    name !key … >Type|Type ?e url     an element of it: invariants on it, targets of a Reference, a binding that
                                      elements.txt does not list (e extensible, r required); `Type!key` is an invariant
                                      for one type of a choice (its profile)
extensions.txt, read by profile/src/extensions.rs:
    url m contexts types              an extension; m when it is a modifier, else -; contexts `E:Patient,X:url,P:path`
                                      joined by `;`; types joined by `|`, `-` for none
     url min max types                an extension in it
codes.txt, read by profile/src/codes.rs:
    +system code …                    a code system that is complete here
    =valueset <system> code …         a value set; `*` all codes of a system, `?` codes that cannot be listed
A space in a code is written as %20, a percent sign as %25.
"""

import json
import sys
from pathlib import Path

import build_element_table as base

CORE = "http://hl7.org/fhir/StructureDefinition/"
HEADER = "# Made by fhir-profiles/tools/build_rule_table.py from hl7.fhir.r4.examples 4.0.1 (CC0). Do not edit."


def main(package, folder):
    files = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(Path(package).glob("*.json"))]
    structures = [f for f in files if f.get("resourceType") == "StructureDefinition"]
    types = {
        s["type"]: s
        for s in structures
        if s["kind"] in ("resource", "complex-type") and s.get("derivation", "specialization") == "specialization"
    }
    profiles = {s["url"]: s for s in structures}
    value_sets = base.ValueSets(files)
    write(folder, "rules.txt", rules(types, profiles, value_sets))
    write(folder, "extensions.txt", extensions(structures))
    write(folder, "codes.txt", codes(files, value_sets))


def write(folder, name, lines):
    text = "\n".join([HEADER, *lines]) + "\n"
    Path(folder, name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(text)} bytes", file=sys.stderr)


# ---------------------------------------------------------------- rules

INHERITED = {"ele-1", "ext-1"}
# `Boolean` is System.Boolean, which no element is; later releases of the standard say what is meant.
CORRECTED = {"que-7": "operator = 'exists' implies (answer is boolean)"}


def rules(types, profiles, value_sets):
    invariants, humans, blocks = {}, {}, []
    for name in sorted(types):
        structure = types[name]
        elements = structure["snapshot"]["element"]
        parents = {e["path"].rsplit(".", 1)[0] for e in elements if "." in e["path"]} | {name}
        for path in sorted(parents):
            lines = []
            own = next(e for e in elements if e["path"] == path)
            keys = [k for k in invariant_keys(own, invariants, humans) if path == name]
            for e in elements:
                if e["path"].startswith(path + ".") and "." not in e["path"][len(path) + 1:] and e["max"] != "0":
                    line = element_line(e, profiles, invariants, humans, value_sets)
                    if line:
                        lines.append(line)
            if keys or lines:
                blocks.append(" ".join([f"@{path}", *[f"!{k}" for k in keys]]))
                blocks.extend(lines)
    head = [f"!{key} {severity} {text}\t{humans[key]}" for key, (severity, text) in sorted(invariants.items())]
    return head + blocks


def invariant_keys(element, invariants, humans):
    """Keys of an element's invariants that have an expression; the same key with another text gets a number."""
    for c in element.get("constraint", []):
        key, text = c["key"], CORRECTED.get(c["key"], c.get("expression"))
        if key in INHERITED or not text:
            continue
        value = ("e" if c["severity"] == "error" else "w", " ".join(text.split()))
        name, count = key, 1
        while invariants.setdefault(name, value) != value:
            count += 1
            name = f"{key}#{count}"
        humans.setdefault(name, " ".join(c["human"].split()).rstrip("."))
        yield name


def element_line(element, profiles, invariants, humans, value_sets):
    words = [f"!{k}" for k in invariant_keys(element, invariants, humans)]
    targets = []
    for of in element.get("type", []):
        if of["code"] == "Reference":
            names = [t.rsplit("/", 1)[-1] for t in of.get("targetProfile", [])]
            targets.extend(names if names else ["Resource"])
        for url in of.get("profile", []):
            constraint = profiles.get(url)
            if constraint and of["code"] == "Quantity":
                root = constraint["snapshot"]["element"][0]
                words.extend(f"Quantity!{k}" for k in invariant_keys(root, invariants, humans) if k.startswith("sqty"))
    if targets and "Resource" not in targets:
        words.append(">" + "|".join(dict.fromkeys(targets)))
    binding = element.get("binding", {})
    strength = binding.get("strength")
    if "valueSet" in binding:
        url = binding["valueSet"].split("|")[0]
        if strength == "extensible":
            words += ["?e", url]
        elif strength == "required" and value_sets.name_of(element) is None:
            words += ["?r", url]
    if not words:
        return None
    return element["path"].rsplit(".", 1)[1].replace("[x]", "") + " " + " ".join(words)


# ---------------------------------------------------------------- extensions

# Places where R4's own definitions use an extension although its definition does not allow it.
USED_ELSEWHERE = {
    CORE + "structuredefinition-fhir-type": ["E:ElementDefinition.type"],
    CORE + "structuredefinition-normative-version": ["E:Element"],
    CORE + "regex": ["E:ElementDefinition.type"],
}


def extensions(structures):
    lines = []
    for s in sorted(structures, key=lambda s: s["url"]):
        if s["type"] != "Extension" or s.get("derivation") != "constraint":
            continue
        elements = s["snapshot"]["element"]
        letters = {"element": "E", "extension": "X", "fhirpath": "P"}
        contexts = [letters[c["type"]] + ":" + c["expression"].replace(" ", "%20") for c in s.get("context", [])]
        contexts += USED_ELSEWHERE.get(s["url"], [])
        root = elements[0]
        value = value_types(elements, "Extension.value[x]")
        lines.append(" ".join([s["url"], "m" if root.get("isModifier") else "-", ";".join(contexts) or "-", value]))
        for e in elements:
            if e["path"] == "Extension.extension" and "sliceName" in e:
                urls = [f["fixedUri"] for f in elements if f["id"] == e["id"] + ".url" and "fixedUri" in f]
                if urls:
                    types = value_types(elements, e["id"] + ".value[x]")
                    lines.append(f" {urls[0]} {e['min']} {e['max']} {types}")
    return lines


def value_types(elements, element_id):
    found = [e for e in elements if e["id"] == element_id]
    if not found or found[0]["max"] == "0":
        return "-"
    codes = []
    for of in found[0].get("type", []):
        codes.append(of["code"])
    return "|".join(dict.fromkeys(codes)) or "-"


# ---------------------------------------------------------------- codes

def codes(files, value_sets):
    lines, complete = [], {}
    for system in sorted((f for f in files if f.get("resourceType") == "CodeSystem"), key=lambda f: f["url"]):
        if system.get("content") != "complete" or not system.get("concept"):
            continue
        found = {code for code, _, _ in base.walk(system["concept"], ())}
        complete[system["url"]] = found
        lines.append("+" + " ".join([system["url"], *sorted(map(escaped, found))]))
    sets = {f["url"]: f for f in files if f.get("resourceType") == "ValueSet"}
    for url in sorted(sets):
        parts = parts_of(sets[url], value_sets, complete)
        if parts:
            lines.append(f"={url} {parts}")
    return lines


def parts_of(value_set, value_sets, complete):
    """What is in it by system; `?` where it cannot be listed, and for all when something is excluded from that."""
    compose = value_set.get("compose", {})
    total, open_systems = {}, set()
    for include in compose.get("include", []):
        try:
            found = value_sets.included(include)
        except SystemExit:
            found = None
        if found is None:
            open_systems.add(include.get("system", ""))
            continue
        for system, listed in found.items():
            total.setdefault(system, set()).update(listed)
    for exclude in compose.get("exclude", []):
        found = value_sets.included(exclude)
        if found is None:
            continue
        for system, listed in found.items():
            total.get(system, set()).difference_update(listed)
    words = []
    for system in sorted(set(total) | open_systems):
        listed = total.get(system, set())
        if system in open_systems:
            words += [f"<{system}>", "?"]
        elif len(listed) > 3 and listed == complete.get(system):
            words += [f"<{system}>", "*"]
        elif listed:
            words += [f"<{system}>", *sorted(map(escaped, listed))]
    return " ".join(words)


def escaped(code):
    return code.replace("%", "%25").replace(" ", "%20")


if __name__ == "__main__":
    main(*sys.argv[1:])
