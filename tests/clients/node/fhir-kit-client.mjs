// fhir-kit-client: CRUD, search with paging both ways, history, bundles, conditional writes, patch.
import assert from 'node:assert/strict';
import { Client } from 'fhir-kit-client';
import { base, done, fresh, patient, rejects, step, token } from './site.mjs';

const client = new Client({ baseUrl: base, bearerToken: token });
const resourceType = 'Patient';
const mrn = fresh();
const family = `Kit${fresh().slice(0, 8)}`;
let created;

await step('capability statement says R4', async () => {
  const statement = await client.capabilityStatement();
  assert.equal(statement.fhirVersion, '4.0.1');
});
await step('create', async () => {
  created = await client.create({ resourceType, body: patient(mrn, family) });
  assert.equal(created.meta.versionId, '1');
});
await step('read and vread', async () => {
  const { id } = created;
  assert.deepEqual(await client.read({ resourceType, id }), created);
  assert.deepEqual(await client.vread({ resourceType, id, version: '1' }), created);
});
await step('update makes version 2', async () => {
  const body = { ...created, gender: 'female' };
  const updated = await client.update({ resourceType, id: created.id, body });
  assert.equal(updated.meta.versionId, '2');
  created = updated;
});
await step('If-Match with the old version is refused with 412', async () => {
  const options = { headers: { 'If-Match': 'W/"1"' } };
  const body = { ...created, gender: 'male' };
  const stale = client.update({ resourceType, id: created.id, body, options });
  await rejects(412, stale, (error) => error.response.status);
});
await step('JSON patch makes version 3', async () => {
  const jsonPatch = [{ op: 'replace', path: '/gender', value: 'other' }];
  const patched = await client.patch({ resourceType, id: created.id, jsonPatch });
  assert.equal(patched.gender, 'other');
  assert.equal(patched.meta.versionId, '3');
});
await step('conditional create finds the existing one', async () => {
  const options = { headers: { 'If-None-Exist': `identifier=urn:test:mrn|${mrn}` } };
  await client.create({ resourceType, body: patient(mrn, family), options });
  const found = await client.search({ resourceType, searchParams: { identifier: `urn:test:mrn|${mrn}` } });
  assert.equal(found.entry.length, 1);
});
await step('conditional update by search', async () => {
  const searchParams = { identifier: `urn:test:mrn|${mrn}` };
  const body = patient(mrn, family, { gender: 'female' });
  const updated = await client.update({ resourceType, searchParams, body });
  assert.equal(updated.id, created.id);
});
await step('history at three levels', async () => {
  const ofInstance = await client.history({ resourceType, id: created.id });
  assert.deepEqual(ofInstance.entry.map((entry) => entry.resource.meta.versionId), ['4', '3', '2', '1']);
  const ofType = await client.history({ resourceType });
  assert.equal(ofType.type, 'history');
  const ofAll = await client.history();
  assert.equal(ofAll.type, 'history');
});
await step('transaction creates eleven, references between entries', async () => {
  const entry = Array.from({ length: 10 }, (_, at) => ({
    fullUrl: `urn:uuid:${fresh()}`,
    resource: patient(fresh(), family, { birthDate: `1980-01-0${at % 9 + 1}` }),
    request: { method: 'POST', url: 'Patient' },
  }));
  entry.push({
    resource: {
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '718-7' }] },
      subject: { reference: entry[0].fullUrl },
    },
    request: { method: 'POST', url: 'Observation' },
  });
  const body = { resourceType: 'Bundle', type: 'transaction', entry };
  const answer = await client.transaction({ body });
  assert.equal(answer.type, 'transaction-response');
  assert.deepEqual(answer.entry.map((one) => one.response.status.slice(0, 3)), Array(11).fill('201'));
});
await step('batch: one outcome an entry', async () => {
  const entry = [
    { request: { method: 'GET', url: `Patient/${created.id}` } },
    { request: { method: 'GET', url: `Patient/${fresh()}` } },
  ];
  const answer = await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry } });
  assert.deepEqual(answer.entry.map((one) => one.response.status.slice(0, 3)), ['200', '404']);
});
await step('search pages to the end and back', async () => {
  const ids = [];
  const pages = [];
  let bundle = await client.search({ resourceType, searchParams: { family, _count: '4', _sort: 'birthdate' } });
  while (bundle) {
    pages.push(bundle);
    ids.push(...bundle.entry.map((entry) => entry.resource.id));
    bundle = await client.nextPage({ bundle });
  }
  assert.equal(ids.length, 11);
  assert.equal(new Set(ids).size, 11);
  assert.equal(pages.length, 3);
  const back = await client.prevPage({ bundle: pages[2] });
  assert.deepEqual(back.entry.map((entry) => entry.resource.id), ids.slice(4, 8));
});
await step('search by POST, in a compartment, over the system', async () => {
  const byPost = await client.search({ resourceType, searchParams: { family }, options: { postSearch: true } });
  assert.equal(byPost.entry.length, 11);
  const first = await client.search({ resourceType, searchParams: { family, '_has:Observation:patient:code': '718-7' } });
  assert.equal(first.entry.length, 1);
  const compartment = { resourceType: 'Patient', id: first.entry[0].resource.id };
  const inside = await client.search({ resourceType: 'Observation', compartment, searchParams: { code: '718-7' } });
  assert.equal(inside.entry.length, 1);
  const all = await client.search({ searchParams: { _type: 'Patient', _id: created.id } });
  assert.equal(all.entry[0].resource.id, created.id);
});
await step('operation $everything', async () => {
  const answer = await client.operation({ name: 'everything', resourceType, id: created.id, method: 'GET' });
  assert.equal(answer.entry[0].resource.id, created.id);
});
await step('delete, then 410', async () => {
  await client.delete({ resourceType, id: created.id });
  await rejects(410, client.read({ resourceType, id: created.id }), (error) => error.response.status);
});
done('fhir-kit-client');
