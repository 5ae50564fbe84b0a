"""A key is made with its record or not at all: over a database file that is locked, read-only, full, and under kill -9."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[3]


def run(data_dir, *command):
    return subprocess.run(  # the interpreter and a file of ours
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT), "AUDIT_KEY": "of this test",
             "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development"},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )  # fmt: skip


@pytest.fixture
def data_dir(tmp_path):
    place_database(tmp_path)
    tmp_path.chmod(0o700)
    return tmp_path


def attempt(data_dir, fault):
    return run(data_dir, "tests/audit/calls/strict_process.py", fault, str(data_dir))


def kept(data_dir):
    """How many keys were made by the call, and how many records of the call there are."""
    with closing(sqlite3.connect(data_dir / "marketdata.sqlite3")) as database:
        keys = database.execute("SELECT count(*) FROM ratelimit_apikey WHERE name = 'new'").fetchone()[0]
        calls = database.execute("SELECT count(*) FROM audit_auditrecord WHERE method = 'POST'").fetchone()[0]
    return keys, calls


def verified(data_dir):
    return json.loads(run(data_dir, "manage.py", "audit", "verify", "--json").stdout)


def test_a_key_is_made_and_recorded(data_dir):
    done = attempt(data_dir, "sound")
    assert json.loads(done.stdout) == {"status": 201, "code": None}, done.stderr
    assert kept(data_dir) == (1, 1)
    assert verified(data_dir)["ok"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("locked", "audit_unavailable"),
        ("read-only", "audit_unavailable"),
        ("full", "audit_unavailable"),
        # It is the commit that fails: whoever sent it cannot know.
        ("full-file", "outcome_unknown"),
    ],
)
def test_a_key_that_cannot_be_recorded_is_not_made(data_dir, fault, code):
    done = attempt(data_dir, fault)
    assert json.loads(done.stdout) == {"status": 503, "code": code}, done.stderr
    assert kept(data_dir) == (0, 0)
    assert verified(data_dir)["ok"]


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        ("killed-before-the-record", (0, 0)),
        ("killed-before-the-commit", (0, 0)),
        ("killed-after-the-commit", (1, 1)),
    ],
)
def test_kill_9_leaves_both_or_neither(data_dir, fault, left):
    done = attempt(data_dir, fault)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert kept(data_dir) == left
    assert verified(data_dir)["ok"]
