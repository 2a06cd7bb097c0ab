#!/usr/bin/env python3
"""Makes fhir-profiles/r4/elements.txt from the R4 definitions: structure only, no prose.

Input: the unpacked npm package hl7.fhir.r4.examples 4.0.1 (CC0):
    npm pack hl7.fhir.r4.examples@4.0.1 && tar xzf hl7.fhir.r4.examples-4.0.1.tgz
    build_element_table.py package > elements.txt

Output, one record a line, read by fhir/src/element_table.rs:
    =name <system> code code <system> code     a value set of a required binding
    @Type base                                 a type; it has all elements of its base
    name min max type type !valueset +         an element of it; a choice is written name[x]
                                               `+`: part of a summary (ElementDefinition.isSummary)
A type that starts with `@` is defined by the element of that path (backbone, content reference).
`System.id`, `System.string` and `System.uri` are values that have no extensions.
"""

import json
import sys
from pathlib import Path

BASES = ["Element", "BackboneElement", "Resource", "DomainResource"]


def main(package):
    files = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(Path(package).glob("*.json"))]
    structures = {
        f["type"]: f
        for f in files
        if f.get("resourceType") == "StructureDefinition"
        and f["kind"] in ("resource", "complex-type", "primitive-type")
        and f.get("derivation", "specialization") == "specialization"
    }
    value_sets = ValueSets(files)
    blocks = [block for s in structures.values() for block in blocks_of(s, value_sets)]
    blocks.sort(key=lambda b: (rank(b[0]), b[0]))
    print("# Made by fhir-profiles/tools/build_element_table.py from hl7.fhir.r4.examples 4.0.1 (CC0). Do not edit.")
    for name in sorted(value_sets.used):
        print(f"={name} {value_sets.used[name]}")
    known = {}
    for name, base, elements in blocks:
        inherited = known.get(base, [])
        lines = [line for line in elements if line not in inherited]
        known[name] = elements
        missing = [line for line in inherited if line not in elements]
        if missing:
            sys.exit(f"{name} does not have {missing} of {base}")
        print(f"@{name} {base}".rstrip())
        for line in lines:
            print(line)
    print(f"{len(blocks)} types, {len(value_sets.used)} value sets", file=sys.stderr)
    print(f"not checked, because they cannot be listed: {sorted(value_sets.open)}", file=sys.stderr)


def rank(name):
    """Bases come before what is built on them."""
    return BASES.index(name) if name in BASES else len(BASES)


def blocks_of(structure, value_sets):
    """(name, base, element lines) of a type and of each backbone element in it; nothing for primitives."""
    root = structure["type"]
    if structure["kind"] == "primitive-type" or root == "xhtml":
        return
    elements = structure["snapshot"]["element"]
    parents = {e["path"].rsplit(".", 1)[0] for e in elements if "." in e["path"]}
    base = structure.get("baseDefinition", "").rsplit("/", 1)[-1]
    for path in sorted(parents):
        if path == root:
            block_base = base if base in BASES else "" if root in BASES else "Element"
        else:
            block_base = next(e for e in elements if e["path"] == path)["type"][0]["code"]
        lines = [
            element_line(e, root, parents, value_sets)
            for e in elements
            if e["path"].startswith(path + ".") and "." not in e["path"][len(path) + 1:] and e["max"] != "0"
        ]
        yield path, block_base, lines


def element_line(element, root, parents, value_sets):
    path = element["path"]
    name = path.rsplit(".", 1)[1]
    is_list = "*" if element["base"]["max"] != "1" else "1"
    maximum = element["max"]
    if is_list == "1":
        maximum = "1"
    if "contentReference" in element:
        types = ["@" + element["contentReference"].lstrip("#")]
    elif path in parents:
        types = ["@" + path]
    else:
        types = [type_name(t, path, root) for t in element["type"]]
    unique = list(dict.fromkeys(types))
    bound = value_sets.name_of(element)
    summary = " +" if element.get("isSummary") else ""
    return f"{name} {element['min']} {maximum} {' '.join(unique)}" + (f" !{bound}" if bound else "") + summary


def type_name(of, path, root):
    code = of["code"]
    if not code.startswith("http://hl7.org/fhirpath/"):
        return code
    if path == f"{root}.id" and root[0].isupper() and is_resource(root):
        return "System.id"
    return "System.uri" if path == "Extension.url" else "System.string"


RESOURCES = set()


def is_resource(root):
    return root in RESOURCES


class ValueSets:
    """Lists the codes of required bindings."""

    def __init__(self, files):
        self.sets = {f["url"]: f for f in files if f.get("resourceType") == "ValueSet"}
        self.systems = {f["url"]: f for f in files if f.get("resourceType") == "CodeSystem"}
        self.used = {}
        self.open = set()
        RESOURCES.update(
            f["type"] for f in files if f.get("resourceType") == "StructureDefinition" and f["kind"] == "resource"
        )

    def name_of(self, element):
        binding = element.get("binding", {})
        if binding.get("strength") != "required" or "valueSet" not in binding:
            return None
        url = binding["valueSet"].split("|")[0]
        codes = self.expand(url)
        if not codes:
            self.open.add(url)
            return None
        if any(" " in code for listed in codes.values() for code in listed):
            sys.exit(f"{url} has a code with a space: the table cannot hold it")
        name = url.rsplit("/", 1)[-1]
        text = " ".join(
            f"<{system}> " + " ".join(sorted(codes[system]))
            for system in sorted(codes)
        )
        if self.used.setdefault(name, text) != text:
            sys.exit(f"two value sets are called {name}")
        return name

    def expand(self, url):
        """system -> codes; None when it cannot be listed."""
        value_set = self.sets.get(url)
        if value_set is None:
            return None
        compose = value_set.get("compose", {})
        total = {}
        for include in compose.get("include", []):
            codes = self.included(include)
            if codes is None:
                return None
            for system in codes:
                total.setdefault(system, set()).update(codes[system])
        for exclude in compose.get("exclude", []):
            codes = self.included(exclude)
            if codes is None:
                return None
            for system in codes:
                total.get(system, set()).difference_update(codes[system])
        return total

    def included(self, include):
        if "system" not in include:
            total = {}
            for url in include.get("valueSet", []):
                codes = self.expand(url.split("|")[0])
                if codes is None:
                    return None
                for system in codes:
                    total.setdefault(system, set()).update(codes[system])
            return total
        system = include["system"]
        if "concept" in include:
            return {system: {c["code"] for c in include["concept"]}}
        definition = self.systems.get(system)
        if definition is None or definition.get("content") != "complete":
            return None
        concepts = list(walk(definition.get("concept", []), ()))
        for rule in include.get("filter", []):
            concepts = [c for c in concepts if passes(c, rule, concepts)]
        return {system: {code for code, _, _ in concepts}}


def walk(concepts, above):
    """(code, codes above it, properties) of each concept."""
    for concept in concepts:
        properties = {}
        for p in concept.get("property", []):
            properties.setdefault(p["code"], set()).add(next(str(v) for k, v in p.items() if k.startswith("value")))
        parents = above + tuple(properties.get("subsumedBy", ()))
        yield concept["code"], parents, properties
        yield from walk(concept.get("concept", []), parents + (concept["code"],))


def passes(concept, rule, concepts):
    code, _, properties = concept
    if rule["op"] in ("is-a", "descendent-of"):
        return (rule["op"] == "is-a" and code == rule["value"]) or rule["value"] in ancestors(code, concepts)
    if rule["op"] == "=":
        return rule["value"] in properties.get(rule["property"], ())
    sys.exit(f"filter {rule} is not known")


def ancestors(code, concepts):
    parents = {c: above for c, above, _ in concepts}
    found, todo = set(), list(parents.get(code, ()))
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo.extend(parents.get(each, ()))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
