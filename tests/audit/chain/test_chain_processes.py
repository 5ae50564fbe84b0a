"""One chain over all processes, and over the records that there were before it."""

import json
import os
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
WRITE = """
import sys, django
django.setup()
from datetime import UTC, datetime
from audit.services import call_record, call_spool, event_record, spool_collect
from tests.received_calls import received
now = datetime.now(UTC)
for number in range(25):
    event_record(at=now, actor=sys.argv[1], audit_class="keys", event="e", subject=str(number), detail={})
    call_record(spool=call_spool(), at=now, caller=sys.argv[1], call=received(path="/"), status=200, latency_us=1,
                correlation_id="")
    spool_collect(now=now)
"""
OLD = """
INSERT INTO audit_auditrecord (id, at, caller, method, path, query, status, latency_us, address, correlation_id)
VALUES (?, '2025-01-02 03:04:05.678', 'key:1', 'GET', '/api/v1/stats/ohlc', '', 200, ?, '127.0.0.1', 'old')
"""


def environment(data_dir):
    return {
        **os.environ,
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "AUDIT_KEY": "of this test",
    }


def manage(data_dir, *arguments):
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment(data_dir), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def data_dir(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def test_processes_that_write_at_once_write_one_chain(data_dir):
    place_database(data_dir)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, f"process:{number}"], cwd=ROOT, env=environment(data_dir)
        )
        for number in range(3)
    ]
    assert [writer.wait(PROGRAM_SECONDS) for writer in writers] == [0, 0, 0]
    # What another process's lock kept from being collected.
    manage(data_dir, "shell", "-v0", "-c", "from django.utils import timezone; from audit.services import spool_collect;"
           "spool_collect(now=timezone.now())")  # fmt: skip
    found = json.loads(manage(data_dir, "audit", "verify", "--json"))
    assert (found["ok"], found["records"]) == (True, 150)


def test_records_from_before_the_chain_are_taken_into_it(data_dir):
    manage(data_dir, "migrate", "-v0", "audit", "0001")
    with closing(sqlite3.connect(data_dir / "marketdata.sqlite3")) as database, database:
        # Gaps are those of transactions that were rolled back.
        database.executemany(OLD, [(3 * number, number) for number in range(1, 5001)])
    manage(data_dir, "migrate", "-v0")
    with closing(sqlite3.connect(data_dir / "marketdata.sqlite3")) as database:
        rows = database.execute(
            "SELECT sequence, latency_us FROM audit_auditrecord ORDER BY sequence"
        ).fetchall()
    assert rows == [(number, number) for number in range(1, 5001)]
    manage(data_dir, "audit", "prune", "--before", "2025-01-01")
    manage(
        data_dir, "shell", "-v0", "-c", WRITE.replace("range(25)", "range(1)").replace("sys.argv[1]", "'x'")
    )
    found = json.loads(manage(data_dir, "audit", "verify", "--json"))
    assert (found["ok"], found["records"]) == (True, 5002)
