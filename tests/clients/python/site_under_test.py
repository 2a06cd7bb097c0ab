"""The gateway under test and a counter of checks; shared by the scripts of this folder."""

import os
import sys
import traceback
import uuid
from contextlib import contextmanager

BASE = os.environ["SEALWAY_BASE"]
TOKEN = os.environ["SEALWAY_TOKEN"]

_passed = 0


def fresh():
    """A value that no earlier run has used."""
    return str(uuid.uuid4())


def patient(mrn, family, **more):
    """A patient with one identifier and one name."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:test:mrn", "value": mrn}],
        "name": [{"family": family, "given": ["Ada"]}],
        "birthDate": "1970-03-05",
        **more,
    }


@contextmanager
def step(name):
    """One named step; the first that fails ends the script."""
    global _passed
    try:
        yield
        _passed += 1
    except Exception:
        print(f"FAILED: {name}", file=sys.stderr)
        traceback.print_exc()
        sys.exit(1)


def done(client):
    """The line that the runner looks for."""
    print(f"{client}: {_passed} steps passed")
