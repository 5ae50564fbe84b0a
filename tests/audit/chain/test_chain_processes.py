"""One chain over all processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[3]
START = """
import sys
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
