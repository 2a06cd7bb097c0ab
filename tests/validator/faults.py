"""The single faults that `mutants.py` makes, by name: each changes one thing, or says that it found nothing to change.

A fault is a function of a source of randomness, the members found (object, key, definition, path) and the resource. Those
that put one value somewhere stand in the tables at the end.
"""

import copy

TABLE = None
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
def quantity_code_without_system(r, found, root):
    at = pick(r, [p for p in of_type(found, "Quantity") if not p[1].startswith("low") and not p[1].startswith("high")])
    return at is not None and replace(at, {"value": 1, "unit": "x", "code": "x"})


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
def contained_with_version(r, found, root):
    at = pick(r, [p for p in found if p[1] == "contained"])
    if at is None:
        return False
    first(at[0][at[1]])["meta"] = {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z"}
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
def null_value(r, found, root):
    at = pick(r, [p for p in found if not p[2]["list"]])
    if at is None:
        return False
    at[0][at[1]] = None
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


# A member of one of these types gets this value.
REPLACED = {
    "number_for_text": (["string", "code", "uri", "dateTime", "date", "markdown"], 17),
    "text_for_other": (["boolean", "integer", "decimal", "positiveInt", "unsignedInt", "CodeableConcept", "Period", "Quantity"], "none"),
    "bad_uri": (["uri", "url", "canonical"], "http://not a uri"),
    "empty_text": (["string", "code", "uri"], ""),
    "period_ends_first": (["Period"], {"start": "2020-02-01", "end": "2020-01-01"}),
    "lost_contained": (["Reference"], {"reference": "#no-such-thing"}),
    "contact_point_without_system": (["ContactPoint"], {"value": "1"}),
    "attachment_without_type": (["Attachment"], {"data": "AAAA"}),
    "negative_count": (["positiveInt", "unsignedInt"], -1),
    "fraction_for_integer": (["integer", "positiveInt", "unsignedInt"], 1.5),
}
# The list of this name at the root gets one more.
APPENDED = {
    "extension_without_value": ("extension", {"url": "http://example.org/x"}),
    "extension_without_url": ("extension", {"valueString": "x"}),
    "extension_of_wrong_type": ("extension", {"url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-fmm", "valueString": "x"}),
    "contained_not_used": ("contained", {"resourceType": "Basic", "id": "not-used-by-anything", "code": {"text": "x"}}),
    "control_extension": ("extension", {"url": "http://example.org/fhir/x", "valueString": "x"}),
}
# The member of this name at the root gets this value.
SET = {
    "unknown_root_element": ("noSuchThing", True),
    "script_in_narrative": ("text", {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>alert(1)</script>text</div>"}),
    "empty_narrative": ("text", {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"> </div>"}),
    "bad_resource_type": ("resourceType", "NoSuchResource"),
}


def replacing(types, value):
    def change(r, found, root):
        at = pick(r, of_type(found, *types))
        return at is not None and replace(at, copy.deepcopy(value))

    return change


def appending(name, value):
    def change(r, found, root):
        root[name] = root.get(name, []) + [copy.deepcopy(value)]
        return True

    return change


def setting(name, value):
    def change(r, found, root):
        root[name] = copy.deepcopy(value)
        return True

    return change


for makes, faults in ((replacing, REPLACED), (appending, APPENDED), (setting, SET)):
    FAULTS.update((name, makes(*fault)) for name, fault in faults.items())
