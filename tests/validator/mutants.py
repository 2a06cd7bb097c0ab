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


FAULTS = {}


def fault(of):
    FAULTS[of.__name__] = of
    return of


def pick(random_, found):
    return random_.choice(found) if found else None


def first(value):
    return value[0] if isinstance(value, list) else value


def replace(at, value):
    """Puts a value in place of another, in its list when it is one."""
    container, key, definition, _ = at
    container[key] = [value, *container[key][1:]] if definition["list"] else value
    return True


def of_type(found, *names):
    return [p for p in found if p[2]["type"] in names and first(p[0][p[1]]) is not None]


@fault
def drop_required(r, found, root):
    at = pick(r, [p for p in found if p[2]["min"] > 0 and len(p[0]) > 1 and not p[2]["choice"] and "_" + p[1] not in p[0]])
    if at is None:
        return False
    del at[0][at[1]]
    return True


@fault
def number_for_text(r, found, root):
    at = pick(r, of_type(found, "string", "code", "uri", "dateTime", "date", "markdown"))
    return at is not None and replace(at, 17)


@fault
def text_for_other(r, found, root):
    at = pick(r, of_type(found, "boolean", "integer", "decimal", "positiveInt", "unsignedInt", "CodeableConcept", "Period", "Quantity"))
    return at is not None and replace(at, "none")


@fault
def bad_required_code(r, found, root):
    at = pick(r, [p for p in of_type(found, "code") if p[2]["bound"]])
    return at is not None and replace(at, "no-such-code")


@fault
def unknown_code_of_system(r, found, root):
    codings = [p for p in of_type(found, "Coding") if str(first(p[0][p[1]]).get("system", "")).startswith("http://terminology.hl7.org/CodeSystem/") and "code" in first(p[0][p[1]])]
    at = pick(r, codings)
    if at is None:
        return False
    first(at[0][at[1]])["code"] = "no-such-code"
    return True


@fault
def list_for_one(r, found, root):
    at = pick(r, [p for p in found if not p[2]["list"] and p[2]["type"] != "xhtml"])
    if at is None:
        return False
    at[0][at[1]] = [at[0][at[1]]]
    return True


@fault
def two_for_one(r, found, root):
    at = pick(r, [p for p in found if not p[2]["list"] and p[2]["type"] != "xhtml"])
    if at is None:
        return False
    at[0][at[1]] = [at[0][at[1]], at[0][at[1]]]
    return True


@fault
def bad_date(r, found, root):
    at = pick(r, of_type(found, "date", "dateTime", "instant"))
    return at is not None and replace(at, r.choice(["2020-13-45", "31.12.1999", "2020-02-30", "yesterday", "2020-1-1", "2015-02-07T25:00:00Z"]))


@fault
def unknown_element(r, found, root):
    at = pick(r, [p for p in found if isinstance(first(p[0][p[1]]), dict)])
    (first(at[0][at[1]]) if at else root)["notAnElement"] = "x"
    return True


@fault
def unknown_root_element(r, found, root):
    root["noSuchThing"] = True
    return True


@fault
def second_choice(r, found, root):
    at = pick(r, [p for p in found if p[2]["choice"] and p[2]["type"] in ("Quantity", "string", "CodeableConcept", "dateTime", "Period", "boolean", "Reference")])
    if at is None:
        return False
    table = TABLE.types
    for definitions in table.values():
        if definitions.get(at[1]) is at[2]:
            others = [k for k, d in definitions.items() if d["element"] == at[2]["element"] and k != at[1] and d["type"] in ("string", "dateTime", "boolean")]
            if others:
                key = others[0]
                at[0][key] = {"string": "x", "dateTime": "2020-01-01", "boolean": True}[definitions[key]["type"]]
                return True
    return False


@fault
def bad_id(r, found, root):
    root["id"] = r.choice(["not an id", "a_b", "x" * 65, "äö"])
    return True


@fault
def bad_uri(r, found, root):
    at = pick(r, of_type(found, "uri", "url", "canonical"))
    return at is not None and replace(at, "http://not a uri")


@fault
def empty_object(r, found, root):
    at = pick(r, [p for p in found if isinstance(first(p[0][p[1]]), dict) and p[2]["type"] != "Resource"])
    return at is not None and replace(at, {})


@fault
def empty_list(r, found, root):
    at = pick(r, [p for p in found if p[2]["list"]])
    if at is None:
        return False
    at[0][at[1]] = []
    return True


@fault
def empty_text(r, found, root):
    at = pick(r, of_type(found, "string", "code", "uri"))
    return at is not None and replace(at, "")


@fault
def period_ends_first(r, found, root):
    at = pick(r, of_type(found, "Period"))
    return at is not None and replace(at, {"start": "2020-02-01", "end": "2020-01-01"})


@fault
def quantity_code_without_system(r, found, root):
    at = pick(r, [p for p in of_type(found, "Quantity") if not p[1].startswith("low") and not p[1].startswith("high")])
    return at is not None and replace(at, {"value": 1, "unit": "x", "code": "x"})


@fault
def lost_contained(r, found, root):
    at = pick(r, of_type(found, "Reference"))
    return at is not None and replace(at, {"reference": "#no-such-thing"})


@fault
def bad_target_type(r, found, root):
    at = pick(r, [p for p in of_type(found, "Reference") if p[1] in ("subject", "patient", "encounter", "performer", "requester", "author", "managingOrganization", "location", "practitioner")])
    return at is not None and replace(at, {"reference": "SearchParameter/1"})


@fault
def value_and_extension(r, found, root):
    at = pick(r, [p for p in found if isinstance(first(p[0][p[1]]), dict) and p[2]["type"] in ("HumanName", "Identifier", "CodeableConcept", "Reference", "Period", "Address", "ContactPoint")])
    if at is None:
        return False
    first(at[0][at[1]])["extension"] = [{"url": "http://example.org/x", "valueString": "x", "extension": [{"url": "y", "valueString": "y"}]}]
    return True


@fault
def extension_without_value(r, found, root):
    root["extension"] = root.get("extension", []) + [{"url": "http://example.org/x"}]
    return True


@fault
def extension_without_url(r, found, root):
    root["extension"] = root.get("extension", []) + [{"valueString": "x"}]
    return True


@fault
def extension_of_wrong_type(r, found, root):
    root["extension"] = root.get("extension", []) + [{"url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-fmm", "valueString": "x"}]
    return True


@fault
def script_in_narrative(r, found, root):
    root["text"] = {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>alert(1)</script>text</div>"}
    return True


@fault
def empty_narrative(r, found, root):
    root["text"] = {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"> </div>"}
    return True


@fault
def contained_with_version(r, found, root):
    at = pick(r, [p for p in found if p[1] == "contained"])
    if at is None:
        return False
    first(at[0][at[1]])["meta"] = {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z"}
    return True


@fault
def contained_not_used(r, found, root):
    root["contained"] = root.get("contained", []) + [{"resourceType": "Basic", "id": "not-used-by-anything", "code": {"text": "x"}}]
    return True


@fault
def rule_of_type(r, found, root):
    changes = {
        "Observation": {"dataAbsentReason": {"text": "x"}, "valueString": "x"},
        "Patient": {"contact": [{"gender": "male"}]},
        "Condition": {"abatementString": "x", "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}},
        "AllergyIntolerance": {"verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "code": "entered-in-error"}]}, "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}},
        "Bundle": {"total": 1, "type": "collection"},
        "List": {"emptyReason": {"text": "x"}, "entry": [{"item": {"display": "x"}}]},
        "Organization": {"telecom": [{"use": "home", "system": "phone", "value": "1"}]},
        "MedicationRequest": {"dosageInstruction": [{"timing": {"repeat": {"duration": 1}}}]},
        "Group": {"actual": False, "member": [{"entity": {"reference": "Patient/1"}}]},
        "Appointment": {"start": "2020-01-01T00:00:00Z", "end": None},
        "CarePlan": {"activity": [{"reference": {"reference": "ServiceRequest/1"}, "detail": {"status": "completed"}}]},
        "Consent": {"policy": None, "policyRule": None},
    }
    change = changes.get(root["resourceType"])
    if change is None:
        return False
    for key, value in change.items():
        if value is None:
            root.pop(key, None)
        else:
            root[key] = value
            if key == "valueString":
                for other in [k for k in root if k.startswith("value") and k != key]:
                    del root[other]
            if key == "abatementString":
                for other in [k for k in root if k.startswith("abatement") and k != key]:
                    del root[other]
    return True


@fault
def contact_point_without_system(r, found, root):
    at = pick(r, of_type(found, "ContactPoint"))
    return at is not None and replace(at, {"value": "1"})


@fault
def attachment_without_type(r, found, root):
    at = pick(r, of_type(found, "Attachment"))
    return at is not None and replace(at, {"data": "AAAA"})


@fault
def negative_count(r, found, root):
    at = pick(r, of_type(found, "positiveInt", "unsignedInt"))
    return at is not None and replace(at, -1)


@fault
def fraction_for_integer(r, found, root):
    at = pick(r, of_type(found, "integer", "positiveInt", "unsignedInt"))
    return at is not None and replace(at, 1.5)


@fault
def bad_resource_type(r, found, root):
    root["resourceType"] = "NoSuchResource"
    return True


@fault
def null_value(r, found, root):
    at = pick(r, [p for p in found if not p[2]["list"]])
    if at is None:
        return False
    at[0][at[1]] = None
    return True


@fault
def control_extension(r, found, root):
    root["extension"] = root.get("extension", []) + [{"url": "http://example.org/fhir/x", "valueString": "x"}]
    return True


@fault
def control_order(r, found, root):
    items = [(k, v) for k, v in root.items() if k != "resourceType"]
    r.shuffle(items)
    kind = root["resourceType"]
    root.clear()
    root["resourceType"] = kind
    root.update(items)
    return True


@fault
def control_tag(r, found, root):
    root.setdefault("meta", {})["tag"] = [{"system": "http://example.org/tags", "code": "x"}]
    return True


TABLE = None


def main(package, elements, verdicts, out, count="2000", seed="20"):
    global TABLE
    TABLE = Table(elements)
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
    names = sorted(FAULTS)
    made, tried = 0, 0
    while made < int(count) and tried < int(count) * 20:
        name, resource = random_.choice(resources)
        kind = names[tried % len(names)]
        tried += 1
        mutant = copy.deepcopy(resource)
        found = list(places(TABLE, mutant, "Resource", resource["resourceType"]))
        before = json.dumps(mutant)
        if not FAULTS[kind](random_, found, mutant) or (json.dumps(mutant) == before and not kind.startswith("control")):
            continue
        Path(folder, f"{made:04}-{kind}-{name}").write_text(json.dumps(mutant, ensure_ascii=False), encoding="utf-8")
        made += 1
    print(f"{made} mutants of {len(resources)} resources, {len(names)} kinds of fault")


if __name__ == "__main__":
    main(*sys.argv[1:])
