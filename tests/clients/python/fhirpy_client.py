"""fhirpy: CRUD, search sets with paging, conditional writes, merge patch, bundles, history."""

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from site_under_test import BASE, TOKEN, done, fresh, patient, step

client = SyncFHIRClient(BASE, authorization=f"Bearer {TOKEN}")
mrn, family = fresh(), "Py" + fresh()[:8]
identifier = f"urn:test:mrn|{mrn}"

with step("create, read, update"):
    created = client.resource(**{**patient(mrn, family), "resource_type": "Patient"})
    created.save()
    assert created["meta"]["versionId"] == "1"
    created["gender"] = "female"
    created.save()
    assert client.reference("Patient", created.id).to_resource()["gender"] == "female"
with step("merge patch, as a plain object with application/json"):
    created.patch(gender="other", birthDate=None)
    read = client.reference("Patient", created.id).to_resource()
    assert read["gender"] == "other" and "birthDate" not in read, read
    assert read["meta"]["versionId"] == "3"
with step("save of single fields is a patch"):
    created["active"] = True
    created.save(fields=["active"])
    assert client.reference("Patient", created.id).to_resource()["active"] is True
with step("get_or_create finds the existing one"):
    found, was_created = client.resources("Patient").search(identifier=identifier).get_or_create(
        client.resource("Patient", **{k: v for k, v in patient(mrn, family).items() if k != "resourceType"})
    )
    assert not was_created and found.id == created.id
with step("conditional update and patch by search"):
    body = {k: v for k, v in patient(mrn, family, gender="male").items() if k != "resourceType"}
    updated, was_created = client.resources("Patient").search(identifier=identifier).update(client.resource("Patient", **body))
    assert not was_created and updated.id == created.id
    patched = client.resources("Patient").search(identifier=identifier).patch(gender="unknown")
    assert patched["gender"] == "unknown"
with step("transaction of ten"):
    entry = [{"resource": patient(fresh(), family), "request": {"method": "POST", "url": "Patient"}} for _ in range(10)]
    bundle = client.resource("Bundle", type="transaction", entry=entry)
    answer = client.execute("", method="post", data=bundle.serialize())
    assert [one["response"]["status"][:3] for one in answer["entry"]] == ["201"] * 10
with step("pages to the end"):
    patients = client.resources("Patient").search(family=family).limit(4).fetch_all()
    assert len({one.id for one in patients}) == 11, len(patients)
with step("count, first, sort, include, has, elements"):
    patients = client.resources("Patient").search(family=family)
    assert patients.count() == 11
    assert patients.sort("-_lastUpdated").first() is not None
    observation = client.resource(
        "Observation", status="final", code={"text": "weight"}, subject=created.to_reference()
    )
    observation.save()
    found = client.resources("Observation").search(_id=observation.id).include("Observation", "subject").fetch_raw()
    assert sorted(one.resource["resourceType"] for one in found["entry"]) == ["Observation", "Patient"]
    assert patients.has("Observation", "patient", status="final").count() == 1
    only = client.resources("Patient").search(_id=created.id).elements("birthDate").fetch_raw()["entry"][0]["resource"]
    assert "name" not in only and only.id == created.id
with step("several matches where one is wanted"):
    try:
        client.resources("Patient").search(family=family).get()
        raise AssertionError("one of eleven was taken")
    except MultipleResourcesFound:
        pass
with step("history"):
    history = client.execute(f"Patient/{created.id}/_history", method="get")
    versions = [int(one["resource"]["meta"]["versionId"]) for one in history["entry"]]
    assert versions == sorted(versions, reverse=True) and versions[-1] == 1, versions
with step("$validate answers issues"):
    assert created.is_valid()
    try:
        created["birthDate"] = "yesterday"
        assert not created.is_valid()
    except OperationOutcome:
        pass
with step("delete, then gone"):
    observation.delete()
    created.delete()
    try:
        client.reference("Patient", created.id).to_resource()
        raise AssertionError("a deleted patient was read")
    except ResourceNotFound:
        pass
done("fhirpy")
