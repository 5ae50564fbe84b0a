"""Collectors in processes of their own, over a database file: two at once, and killed in mid-run."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.audit.builders import spooled
from tests.front.front_server import eventually
from tests.migrated_database import place_database
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[3]
COUNT = 6_000
SETUP = """
import sys
import django
django.setup()
from datetime import UTC, datetime
from pathlib import Path
"""
COLLECT = """
from audit.services import spool_collect
print("ready", flush=True)
while True:
    print(spool_collect(now=datetime.now(UTC)), flush=True)
"""
# A batch for each line that it reads.
COLLECT_AS_TOLD = """
from audit.services import spool_collect
from audit.spooling import collector
collector.BATCH_RECORDS = 500
print("ready", flush=True)
for line in sys.stdin:
    spool_collect(now=datetime.now(UTC), limit=500)
"""
# Without the lock file, as two hosts would be on a network file system that keeps no locks.
COLLECT_UNLOCKED = """
from audit.spooling.collector import file_collect
print("ready", flush=True)
sys.stdin.read()
moved = 1
while moved:
    moved = sum(file_collect(path, now=datetime.now(UTC), limit=500) for path in Path(sys.argv[1]).glob("*.jsonl"))
    print(moved, flush=True)
"""


@contextmanager
def collector(data_dir, source):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SETUP + source), str(data_dir / "audit" / "spool")],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def spool() -> dict[str, bytes]:
    """The content of each file."""
    lines = [spooled(number) for number in range(COUNT)]
    names = [f"{part}-1.jsonl" for part in range(4)]
    return {name: b"".join(lines[part::4]) for part, name in enumerate(names)}


@pytest.fixture
def data_dir(spool, tmp_path):
    place_database(tmp_path)
    folder = tmp_path / "audit" / "spool"
    folder.mkdir(parents=True)
    for name, content in spool.items():
        (folder / name).write_bytes(content)
    return tmp_path


def rows(data_dir):
    with closing(sqlite3.connect(data_dir / "marketdata.sqlite3", timeout=PATIENCE_SECONDS)) as connection:
        return [
            number
            for (number,) in connection.execute("SELECT latency_us FROM audit_auditrecord WHERE event = ''")
        ]


def has_rows(data_dir, count):
    return len(rows(data_dir)) >= count


def wait_until_collected(data_dir):
    assert eventually(lambda: not any((data_dir / "audit" / "spool").iterdir()))


def test_collector_killed_again_and_again_moves_every_record_once(data_dir):
    kills = 0
    for batches in (1, 4):
        with collector(data_dir, COLLECT_AS_TOLD) as process:
            assert process.stdout.readline() == b"ready\n"
            target = len(rows(data_dir)) + batches * 500
            # It is killed amid one more, and not when all is done, however late that is.
            process.stdin.write((batches + 1) * b"\n")
            process.stdin.flush()
            assert eventually(partial(has_rows, data_dir, target))
            process.kill()
            kills += len(rows(data_dir)) < COUNT
    with collector(data_dir, COLLECT):
        wait_until_collected(data_dir)
    assert kills >= 1
    assert sorted(rows(data_dir)) == list(range(COUNT))


def test_two_collectors_at_once_move_every_record_once(data_dir):
    with collector(data_dir, COLLECT) as one, collector(data_dir, COLLECT) as other:
        assert one.stdout.readline() == other.stdout.readline() == b"ready\n"
        wait_until_collected(data_dir)
    assert sorted(rows(data_dir)) == list(range(COUNT))


def test_two_collectors_without_the_lock_file_move_every_record_once(data_dir):
    files = [path.open("rb") for path in (data_dir / "audit" / "spool").iterdir()]
    for file in files:
        fcntl.flock(file, fcntl.LOCK_EX)
    with collector(data_dir, COLLECT_UNLOCKED) as one, collector(data_dir, COLLECT_UNLOCKED) as other:
        assert one.stdout.readline() == other.stdout.readline() == b"ready\n"
        one.stdin.close()
        other.stdin.close()
        moved = [[int(word) for word in process.stdout.read().split()] for process in (one, other)]
    for file in files:
        file.close()
    assert sorted(rows(data_dir)) == list(range(COUNT))
    assert sum(map(sum, moved)) == COUNT
