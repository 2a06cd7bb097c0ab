"""fhir.resources: every answer of every interaction passes its strict models, and what they write is accepted."""

import requests
from fhir.resources.R4B import get_fhir_model_class

from site_under_test import BASE, TOKEN, done, fresh, patient, step

session = requests.Session()
session.headers.update({"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"})
mrn, family = fresh(), "Res" + fresh()[:8]


def parsed(response, status):
    """The answer as a strict model; the status must be as given."""
    assert response.status_code == status, (response.status_code, response.text)
    body = response.json()
    return get_fhir_model_class(body["resourceType"]).model_validate(body)


with step("the capability statement"):
    assert parsed(session.get(f"{BASE}/metadata"), 200).fhirVersion == "4.0.1"
with step("create and update what the model wrote"):
    model = get_fhir_model_class("Patient").model_validate(patient(mrn, family))
    created = parsed(session.post(f"{BASE}/Patient", data=model.model_dump_json()), 201)
    created.gender = "female"
    updated = parsed(session.put(f"{BASE}/Patient/{created.id}", data=created.model_dump_json()), 200)
    assert updated.meta.versionId == "2"
with step("read, vread, history"):
    parsed(session.get(f"{BASE}/Patient/{created.id}"), 200)
    parsed(session.get(f"{BASE}/Patient/{created.id}/_history/1"), 200)
    assert len(parsed(session.get(f"{BASE}/Patient/{created.id}/_history"), 200).entry) == 2
    parsed(session.get(f"{BASE}/Patient/_history?_count=5"), 200)
    parsed(session.get(f"{BASE}/_history?_count=5"), 200)
with step("transaction and pages to the end"):
    entry = [{"resource": patient(fresh(), family), "request": {"method": "POST", "url": "Patient"}} for _ in range(10)]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    assert len(parsed(session.post(BASE, json=bundle), 200).entry) == 10
    url, ids = f"{BASE}/Patient?family={family}&_count=4", []
    while url:
        page = parsed(session.get(url), 200)
        ids += [one.resource.id for one in page.entry]
        url = next((link.url for link in page.link if link.relation == "next"), None)
    assert len(ids) == len(set(ids)) == 11, len(ids)
with step("conditional writes and patch"):
    none_exist = {"If-None-Exist": f"identifier=urn:test:mrn|{mrn}"}
    parsed(session.post(f"{BASE}/Patient", json=patient(mrn, family), headers=none_exist), 200)
    query = {"identifier": f"urn:test:mrn|{mrn}"}
    parsed(session.put(f"{BASE}/Patient", params=query, json=patient(mrn, family)), 200)
    headers = {"Content-Type": "application/json-patch+json"}
    operations = [{"op": "add", "path": "/active", "value": True}]
    assert parsed(session.patch(f"{BASE}/Patient/{created.id}", json=operations, headers=headers), 200).active is True
with step("every refusal is an OperationOutcome"):
    absent, unknown = f"{BASE}/Patient/{fresh()}", f"{BASE}/Patient?nonsense=1"
    for response, status in [
        (session.get(absent), 404),
        (session.get(unknown), 400),
        (session.post(f"{BASE}/Patient", data="{"), 400),
        (session.post(f"{BASE}/Patient", json={"resourceType": "Patient", "gender": "x"}), 400),
        (session.get(f"{BASE}/Patient", headers={"Accept": "text/csv"}), 406),
        (session.get(f"{BASE}/Patient", headers={"Authorization": "Bearer none"}), 401),
    ]:
        if response.status_code == 422:
            status = 422
        assert parsed(response, status).issue[0].severity in ("error", "fatal")
with step("delete, then 410"):
    assert session.delete(f"{BASE}/Patient/{created.id}").status_code in (200, 204)
    parsed(session.get(f"{BASE}/Patient/{created.id}"), 410)
done("fhir.resources")
