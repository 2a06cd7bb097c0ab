// @medplum/core: CRUD, conditional create and update by search, pages, history, batch, patch, operations.
import assert from 'node:assert/strict';
import { MedplumClient } from '@medplum/core';
import { done, fresh, origin, patient, rejects, step, token } from './site.mjs';

// Its default path of the FHIR interface is fhir/R4. Its cache is off, so that every step asks the gateway.
const client = new MedplumClient({ baseUrl: `${origin}/`, accessToken: token, cacheTime: 0 });
const status = (error) => ({ 'not-found': 404, gone: 410, 'precondition-failed': 412 })[error.outcome?.id] ?? error.outcome?.issue?.[0]?.code;
const mrn = fresh();
const family = `Med${fresh().slice(0, 8)}`;
let created;

await step('create, read, update, vread', async () => {
  created = await client.createResource(patient(mrn, family));
  assert.equal((await client.readResource('Patient', created.id)).id, created.id);
  created = await client.updateResource({ ...created, gender: 'female' });
  assert.equal(created.meta.versionId, '2');
  assert.equal((await client.readVersion('Patient', created.id, '1')).gender, undefined);
});
await step('an update that changes nothing makes no version', async () => {
  const same = await client.updateResource({ ...created });
  assert.equal(same.meta.versionId, '2');
});
await step('JSON patch', async () => {
  const patched = await client.patchResource('Patient', created.id, [{ op: 'add', path: '/active', value: true }]);
  assert.equal(patched.active, true);
});
await step('create if none exists, upsert', async () => {
  const query = `identifier=urn:test:mrn|${mrn}`;
  const again = await client.createResourceIfNoneExist(patient(mrn, family), query);
  assert.equal(again.id, created.id);
  const upserted = await client.upsertResource(patient(mrn, family, { gender: 'other' }), query);
  assert.equal(upserted.id, created.id);
});
await step('batch', async () => {
  const entry = Array.from({ length: 9 }, () => ({
    resource: patient(fresh(), family),
    request: { method: 'POST', url: 'Patient' },
  }));
  const answer = await client.executeBatch({ resourceType: 'Bundle', type: 'batch', entry });
  assert.deepEqual(answer.entry.map((one) => one.response.status.slice(0, 3)), Array(9).fill('201'));
});
await step('pages to the end', async () => {
  const ids = new Set();
  let pages = 0;
  for await (const page of client.searchResourcePages('Patient', { family, _count: '4', _sort: '-_lastUpdated' })) {
    pages += 1;
    page.forEach((one) => ids.add(one.id));
  }
  assert.equal(ids.size, 10);
  assert.equal(pages, 3);
});
await step('search one, search resources, counts', async () => {
  const one = await client.searchOne('Patient', { identifier: `urn:test:mrn|${mrn}` });
  assert.equal(one.id, created.id);
  const bundle = await client.search('Patient', { family, _total: 'accurate', _summary: 'count' });
  assert.equal(bundle.total, 10);
});
await step('history', async () => {
  const history = await client.readHistory('Patient', created.id);
  assert.deepEqual(history.entry.map((entry) => entry.resource.meta.versionId), ['4', '3', '2', '1']);
});
await step('$everything and $validate', async () => {
  const everything = await client.readPatientEverything(created.id);
  assert.equal(everything.entry[0].resource.id, created.id);
  const outcome = await client.validateResource(patient(mrn, family));
  assert.equal(outcome.resourceType, 'OperationOutcome');
});
await step('delete, then 410', async () => {
  await client.deleteResource('Patient', created.id);
  await rejects(410, client.readResource('Patient', created.id, { cache: 'reload' }), (error) => status(error) === 'deleted' ? 410 : status(error));
});
done('@medplum/core');
