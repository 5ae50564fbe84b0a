"""What two processes do at once over a real PostgreSQL, whose transactions see one another otherwise than SQLite's."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.front.front_server import eventually
from tests.ops.outbound.hostile_server import says, served
from tests.system.postgresql import postgresql
from tests.webhooks.conftest import received

pytestmark = pytest.mark.xdist_group("postgresql")

ROOT = Path(__file__).resolve().parents[2]
# Until all threads stand ready.
LEAD_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Pair:
    """Two processes of one installation."""

    processes: list[subprocess.Popen[str]]

    def ask(self, command: str, **values: Any) -> Any:
        """What one of them answers."""
        return self._asked(self.processes[:1], command, values)[0]

    def race(self, command: str, **values: Any) -> list[Any]:
        """What each of them answers, where all threads of both begin together."""
        return self._asked(self.processes, command, {**values, "at": time.time() + LEAD_SECONDS})

    @staticmethod
    def _asked(processes: list[subprocess.Popen[str]], command: str, values: dict[str, Any]) -> list[Any]:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"do": command, **values}) + "\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in processes if process.stdout]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[Pair]:
    with postgresql() as url:
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
            "AUDIT_KEY": "of this test",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.system.postgresql_process"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        try:
            pair = Pair(processes)
            assert pair.ask("migrate") is None
            # Django is loaded, and each is connected.
            for process in processes:
                assert Pair([process]).ask("run", statement="SELECT 1") is None
            yield pair
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def test_of_ten_that_show_a_nonce_at_once_one_has_used_it(pair):
    for number in range(4):
        told = [each for found in pair.race("use_nonce", nonce=f"n{number}") for each in found]
        assert sorted(told, key=str) == [None, *["nonce_used"] * 9]


def test_of_counts_that_are_written_at_once_the_largest_stays(pair):
    assert pair.race("count", identity="key:1", most=10) == [[10], [10]]


def test_of_ten_rotations_of_a_key_at_once_one_succeeds(pair):
    for _ in range(3):
        key_id = pair.ask("create")
        told = [each for found in pair.race("rotate", key_id=key_id) for each in found]
        assert [each for each in told if each != "not_rotatable"] == [pair.ask("digest", key_id=key_id)]
        assert len(told) == 10


def test_records_of_two_processes_are_one_chain(pair):
    pair.race("record", actor="test", count=50)
    found = pair.ask("verify")
    assert found["findings"] == []
    assert found["written"] == 100
    assert found["records"] >= 100


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditrecord SET caller = 'nobody'",
        "DELETE FROM audit_auditrecord",
        "TRUNCATE audit_auditrecord",
    ],
)
def test_the_database_refuses_that_a_record_is_changed(pair, statement):
    pair.ask("create")
    assert pair.ask("run", statement=statement) == "audit records are never changed"


def test_a_log_out_ends_what_a_refresh_at_the_same_time_was_given(pair):
    assert pair.ask("log_out_during_a_refresh") == {"waited": True, "living": 0}


def test_a_key_that_is_changed_by_a_call_and_by_a_command_at_once_stops_neither(pair):
    key, key_ids = pair.ask("manager"), [pair.ask("create") for _ in range(20)]
    raced = pair.race("revoke_both_ways", key=key, key_ids=key_ids)
    statuses = [status for found in raced for status in found]
    # A deadlock, which PostgreSQL ends after a second, would be an error.
    assert statuses == [200] * 80
    assert pair.ask("verify")["findings"] == []


def test_ten_senders_of_webhooks_send_each_event_once_and_in_order(pair):
    with served(says(b"ok")) as server:
        secret = pair.ask("subscribe", url=server.url)
        pair.race("tell_and_send", count=30)
        events = [each["data"] for each in received(server, secret)]
    numbers: dict[str, list[int]] = {}
    for event in events:
        numbers.setdefault(event["subject"], []).append(event["number"])
    assert list(numbers.values()) == [list(range(30))] * 10


def test_of_two_workers_one_runs_the_duties_until_its_session_ends(pair):
    first = pair.race("take_duties")
    assert sorted(first) == [False, True]
    assert pair.race("take_duties") == first
    holder, other = (Pair([pair.processes[first.index(held)]]) for held in (True, False))
    holder.ask("lose_connection")
    assert eventually(lambda: other.ask("take_duties", at=0))
    assert not holder.ask("take_duties", at=0)
