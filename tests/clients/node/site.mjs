// The gateway under test and a counter of checks; shared by the scripts of this folder.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

/** Base URL of the FHIR interface, a token for it, and its origin. */
export const base = need('SEALWAY_BASE');
export const token = need('SEALWAY_TOKEN');
export const origin = new URL(base).origin;

/** A value that no earlier run has used. */
export const fresh = () => randomUUID();

/** A patient with one identifier and one name. */
export const patient = (mrn, family, more = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system: 'urn:test:mrn', value: mrn }],
  name: [{ family, given: ['Ada'] }],
  birthDate: '1970-03-05',
  ...more,
});

let checks = 0;

/** One named step; the first that fails ends the script. */
export async function step(name, run) {
  try {
    await run();
    checks += 1;
  } catch (error) {
    console.error(`FAILED: ${name}\n${error.stack ?? error}`);
    const answer = error.response?.data ?? error.outcome;
    if (answer) console.error(JSON.stringify(answer, null, 1));
    process.exit(1);
  }
}

/** The line that the runner looks for. */
export const done = (client) => console.log(`${client}: ${checks} steps passed`);

/** Expects a rejection with an HTTP status. */
export async function rejects(status, promise, read) {
  const error = await promise.then(() => null, (error) => error);
  assert.ok(error, `expected ${status}, but it was accepted`);
  assert.equal(read(error), status, String(error));
}

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run tests/clients/run.sh`);
  return value;
}
