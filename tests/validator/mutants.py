#!/usr/bin/env python3
"""Makes single-fault mutants of R4's examples: mutants.py PACKAGE ELEMENTS VERDICTS OUT [count [seed]].

VERDICTS lists which examples are valid for HL7's validator; only those are changed. Each mutant has one change, named in
its file name; `control` changes nothing that matters. The same input and seed make the same files.
"""

import copy
import json
import random
import sys
from pathlib import Path

import faults

PRIMITIVES = {
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml",
}
DEFINITIONS = {
    "StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "SearchParameter", "OperationDefinition",
    "CapabilityStatement", "ImplementationGuide", "StructureMap", "NamingSystem", "CompartmentDefinition",
}
BYTES_MAX = 60_000


class Table:
    """Elements by type, from fhir-profiles/r4/elements.txt."""

    def __init__(self, path):
        self.types, current, bases = {}, None, {}
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            if line.startswith("@"):
                name, _, base = line[1:].partition(" ")
                current = self.types[name] = dict(self.types.get(base, {}))
            elif line and line[0] not in "=#":
                words = line.split(" ")
                name, low, high, *types = words
                bound = any(t.startswith("!") for t in types)
                types = [t for t in types if not t.startswith("!")]
                for of in types:
                    bare = name.replace("[x]", "")
                    key = bare + of[0].upper() + of[1:] if name.endswith("[x]") else name
                    current[key] = {
                        "element": bare, "min": int(low), "list": high != "1", "bound": bound, "choice": name.endswith("[x]"),
                        "type": of.lstrip("@").replace("System.", ""),
                    }


def places(table, value, of, path):
    """(object, key, definition, path) of every member of a known name."""
    if of == "Resource":
        of = value.get("resourceType", "") if isinstance(value, dict) else ""
    if not isinstance(value, dict) or of not in table.types:
        return
    for key, member in value.items():
        definition = table.types[of].get(key)
        if definition is None:
            continue
        here = f"{path}.{key}"
        yield value, key, definition, here
        for each in member if isinstance(member, list) else [member]:
            yield from places(table, each, definition["type"], here)


def main(package, elements, verdicts, out, count="2000", seed="20"):
    table = faults.TABLE = Table(elements)
    random_ = random.Random(int(seed))
    valid = [line.split("\t")[0] for line in open(verdicts, encoding="utf-8") if line.split("\t")[1] == "valid"]
    resources = []
    for name in sorted(valid):
        text = Path(package, name).read_text(encoding="utf-8")
        if len(text) > BYTES_MAX:
            continue
        resource = json.loads(text)
        # One definition in forty: they are most of the package and few of what is exchanged.
        if resource.get("resourceType") in DEFINITIONS and random_.random() > 0.025:
            continue
        if "resourceType" in resource:
            resources.append((name, resource))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(faults.FAULTS)
    made, tried = 0, 0
    while made < int(count) and tried < int(count) * 20:
        name, resource = random_.choice(resources)
        kind = names[tried % len(names)]
        tried += 1
        mutant = copy.deepcopy(resource)
        found = list(places(table, mutant, "Resource", resource["resourceType"]))
        before = json.dumps(mutant)
        if not faults.FAULTS[kind](random_, found, mutant) or (json.dumps(mutant) == before and not kind.startswith("control")):
            continue
        Path(folder, f"{made:04}-{kind}-{name}").write_text(json.dumps(mutant, ensure_ascii=False), encoding="utf-8")
        made += 1
    print(f"{made} mutants of {len(resources)} resources, {len(names)} kinds of fault")


if __name__ == "__main__":
    main(*sys.argv[1:])
