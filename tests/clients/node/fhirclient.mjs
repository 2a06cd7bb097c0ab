// fhirclient (SMART on FHIR JavaScript): an app with a token reads, pages, resolves references and writes.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { base, done, fresh, patient, rejects, step, token } from './site.mjs';

const FHIR = createRequire(import.meta.url)('fhirclient');
// An app after its launch: the state that the library keeps, on a request and an answer of its own.
const client = await FHIR({ headers: {}, url: '/' }, {}).client({ serverUrl: base, tokenResponse: { access_token: token } });
const mrn = fresh();
const family = `Smart${fresh().slice(0, 8)}`;
let created;

await step('FHIR version', async () => {
  assert.equal(await client.getFhirVersion(), '4.0.1');
  assert.equal(await client.getFhirRelease(), 4);
});
await step('create, update, read, vread', async () => {
  created = await client.create(patient(mrn, family));
  const updated = await client.update({ ...created, gender: 'female' });
  assert.equal(updated.meta.versionId, '2');
  assert.equal((await client.request(`Patient/${created.id}`)).gender, 'female');
  assert.equal((await client.request(`Patient/${created.id}/_history/1`)).gender, undefined);
});
await step('JSON patch', async () => {
  const patched = await client.patch(`Patient/${created.id}`, [{ op: 'remove', path: '/gender' }]);
  assert.equal(patched.gender, undefined);
  assert.equal(patched.meta.versionId, '3');
});
await step('conditional create and bundle by request', async () => {
  const headers = { 'content-type': 'application/json', 'if-none-exist': `identifier=urn:test:mrn|${mrn}` };
  const options = { url: 'Patient', method: 'POST', body: JSON.stringify(patient(mrn, family)), headers };
  assert.equal((await client.request(options)).id, created.id);
  const entry = Array.from({ length: 7 }, (_, at) => ({
    resource: {
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '8302-2' }] },
      subject: { reference: `Patient/${created.id}` },
      effectiveDateTime: `2020-0${at + 1}-01`,
      valueQuantity: { value: 100 + at, unit: 'cm', system: 'http://unitsofmeasure.org', code: 'cm' },
    },
    request: { method: 'POST', url: 'Observation' },
  }));
  const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
  const answer = await client.request({ url: base, method: 'POST', body, headers: { 'content-type': 'application/json' } });
  assert.equal(answer.entry.length, 7);
});
await step('pages to the end, flat, with references resolved', async () => {
  const query = `Observation?patient=${created.id}&code=http://loinc.org|8302-2,http://loinc.org|29463-7&_count=3`;
  const all = await client.request(query, { pageLimit: 0, flat: true, resolveReferences: 'subject' });
  assert.equal(all.length, 7);
  assert.equal(all[0].subject.id, created.id);
  assert.equal(client.units.cm(all[0].valueQuantity) > 0, true);
});
await step('history', async () => {
  const history = await client.request(`Patient/${created.id}/_history`);
  assert.equal(history.entry.length, 3);
});
await step('delete, then 410', async () => {
  const url = `Patient/${created.id}`;
  await client.request(`Observation?patient=${created.id}`, { pageLimit: 0, flat: true })
    .then((all) => Promise.all(all.map((one) => client.delete(`Observation/${one.id}`))));
  await client.delete(url);
  await rejects(410, client.request(url), (error) => error.status ?? error.statusCode);
});
done('fhirclient (JavaScript)');
