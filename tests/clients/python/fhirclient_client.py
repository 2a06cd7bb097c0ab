"""fhirclient (SMART on FHIR Python): typed models, every answer parsed strictly by it."""

import fhirclient.models.bundle as bundle_model
import fhirclient.models.fhirdate as fhirdate
import fhirclient.models.humanname as humanname
import fhirclient.models.identifier as identifier_model
import fhirclient.models.observation as observation_model
import fhirclient.models.patient as patient_model
from fhirclient import client as smart_client
from fhirclient.server import FHIRNotFoundException

from site_under_test import BASE, TOKEN, done, fresh, patient, step

smart = smart_client.FHIRClient(settings={"app_id": "sealway-tests", "api_base": BASE})
smart.prepare()
smart.server.session.headers["Authorization"] = f"Bearer {TOKEN}"
mrn, family = fresh(), "Smart" + fresh()[:8]

with step("the capability statement is parsed"):
    assert smart.server.capabilityStatement.fhirVersion == "4.0.1"
with step("create, read, update"):
    one = patient_model.Patient({"name": [{"family": family}]})
    one.identifier = [identifier_model.Identifier({"system": "urn:test:mrn", "value": mrn})]
    created = one.create(smart.server)
    read = patient_model.Patient.read(created["id"], smart.server)
    assert read.name[0].family == family
    read.birthDate = fhirdate.FHIRDate("1970-03-05")
    read.name = [humanname.HumanName({"family": family, "given": ["Ada"]})]
    assert read.update(smart.server)["meta"]["versionId"] == "2"
with step("transaction"):
    entry = [{"resource": patient(fresh(), family), "request": {"method": "POST", "url": "Patient"}} for _ in range(10)]
    answer = smart.server.post_json("", {"resourceType": "Bundle", "type": "transaction", "entry": entry}).json()
    assert len(bundle_model.Bundle(answer).entry) == 10
with step("search pages to the end, every model parsed strictly"):
    search = patient_model.Patient.where(struct={"family": family, "_count": "4"})
    ids = {found.id for found in search.perform_resources_iter(smart.server)}
    assert len(ids) == 11, len(ids)
with step("conditional create, patch, history"):
    headers = {"If-None-Exist": f"identifier=urn:test:mrn|{mrn}", "Content-Type": "application/json"}
    session = smart.server.session
    again = session.post(f"{BASE}/Patient", json=patient(mrn, family), headers=headers)
    assert again.status_code == 200, again.text
    operations = [{"op": "add", "path": "/active", "value": True}]
    headers = {"Content-Type": "application/json-patch+json"}
    patched = session.patch(f"{BASE}/Patient/{read.id}", json=operations, headers=headers)
    assert patched.status_code == 200, patched.text
    history = bundle_model.Bundle(session.get(f"{BASE}/Patient/{read.id}/_history").json())
    assert [one.resource.meta.versionId for one in history.entry] == ["3", "2", "1"]
with step("an observation with its quantity"):
    observation = observation_model.Observation(
        {
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]},
            "subject": {"reference": f"Patient/{read.id}"},
            "valueQuantity": {"value": 170.5, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"},
        }
    )
    made = observation.create(smart.server)
    found = observation_model.Observation.where(struct={"patient": read.id}).perform_resources(smart.server)
    assert found[0].valueQuantity.value == 170.5 and found[0].id == made["id"]
with step("delete, then gone"):
    found[0].delete(smart.server)
    read.delete(smart.server)
    gone = smart.server.session.get(f"{BASE}/Patient/{read.id}")
    assert gone.status_code == 410, gone.status_code
    try:
        patient_model.Patient.read(fresh(), smart.server)
        raise AssertionError("an absent patient was read")
    except FHIRNotFoundException:
        pass
done("fhirclient (Python)")
