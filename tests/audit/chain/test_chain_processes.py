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
START = """
import sqlite3, sys
import django
django.setup()
from datetime import UTC, datetime
from django.core.management import call_command
from audit.services import call_record, call_spool, event_record, spool_collect
from tests.received_calls import received

def write(count, caller):
    now = datetime.now(UTC)
    for number in range(count):
        event_record(at=now, actor=caller, audit_class="keys", event="e", subject=str(number), detail={})
        call_record(spool=call_spool(), at=now, caller=caller, call=received(path="/"), status=200, latency_us=1,
                    correlation_id="")
        spool_collect(now=now)
"""
WRITE = START + "write(15, sys.argv[1])"
# What another process's lock kept from being collected is collected first.
VERIFY = (
    START
    + "spool_collect(now=datetime.now(UTC))\ncall_command('audit', 'verify', '--json', stdout=sys.stdout)"
)
# Gaps are those of transactions that were rolled back. Taken in 2,000 at a time.
COUNT = 4_100
FROM_BEFORE = (
    START
    + f"""
call_command("migrate", "audit", "0001", verbosity=0)
with sqlite3.connect(sys.argv[1]) as database:
    database.executemany(
        "INSERT INTO audit_auditrecord (id, at, caller, method, path, query, status, latency_us, address, correlation_id)"
        " VALUES (?, '2025-01-02 03:04:05.678', 'key:1', 'GET', '/api/v1/stats/ohlc', '', 200, ?, '127.0.0.1', 'old')",
        [(3 * number, number) for number in range(1, {COUNT} + 1)],
    )
call_command("migrate", "audit", verbosity=0)
call_command("audit", "prune", "--before", "2025-01-01", stdout=sys.stderr)
write(1, "x")
call_command("audit", "verify", "--json", stdout=sys.stdout)
"""
)


def started(data_dir: Path, program: str, argument: str = "") -> subprocess.Popen[str]:
    environment = {
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "AUDIT_KEY": "of this test",
    }
    command = [sys.executable, "-c", program, argument]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )


def verification(process: subprocess.Popen[str]) -> tuple[list[str], int]:
    """The findings of the process, and the number of records."""
    said, _ = process.communicate(timeout=PROGRAM_SECONDS)
    found = json.loads(said)
    return [each["message"] for each in found["findings"]], found["records"]


@pytest.fixture
def data_dir(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def test_processes_that_write_at_once_write_one_chain(data_dir):
    place_database(data_dir)
    writers = [started(data_dir, WRITE, f"process:{number}") for number in range(3)]
    for writer in writers:
        writer.communicate(timeout=PROGRAM_SECONDS)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert verification(started(data_dir, VERIFY)) == ([], 90)


def test_records_from_before_the_chain_are_taken_into_it(data_dir):
    path = data_dir / "marketdata.sqlite3"
    finding = f"what follows record {COUNT:,} cannot be verified: the head file is missing or damaged"
    expected = ([f"{finding} (noted in record {COUNT + 1:,})"], COUNT + 3)
    assert verification(started(data_dir, FROM_BEFORE, str(path))) == expected
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT sequence, latency_us FROM audit_auditrecord WHERE path != '/' AND event = '' ORDER BY sequence"
        ).fetchall()
    assert rows == [(number, number) for number in range(1, COUNT + 1)]
