"""Keys in several processes at once: a change is effective in each within a second, and is made once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from ratelimit.fresh_cache import MAX_AGE_SECONDS
from tests.migrated_database import place_database
from tests.patience import PATIENCE_SECONDS, is_kept

pytestmark = [pytest.mark.system, pytest.mark.seconds, pytest.mark.xdist_group("key_processes")]

EFFECTIVE_SECONDS = 1.0
ATTEMPTS = 10
BOTH = ["market:read", "market:write"]


class KeyProcess:
    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.ratelimit.keys.key_process"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=settings.BASE_DIR,
            env=environment,
        )

    def ask(self, do: str, **arguments: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self):
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def call(self, do: str, **arguments: object):
        self.ask(do, **arguments)
        return self.answer()

    def watch(self, key: str) -> None:
        """Have it look at a key from now on, until shortly after that changes."""
        assert self.call("watch", key=key, patience=PATIENCE_SECONDS) == {"watching": True}

    def end(self) -> None:
        # Closes its standard input, upon which it ends, and its output.
        self._process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Iterator[list[KeyProcess]]:
    """Three processes over one database in a file, as an installation has it."""
    folder: Path = tmp_path_factory.mktemp("keys")
    environment = {
        **os.environ,
        "DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "DATABASE_URL": "",
    }
    place_database(folder)
    found = [KeyProcess(environment) for _ in range(3)]
    yield found
    for process in found:
        process.end()


@pytest.mark.parametrize(
    ("change", "arguments", "afterwards"),
    [
        ("revoke", {}, "revoked_api_key"),
        ("rotate", {"overlap": 0}, "expired_api_key"),
        ("rotate", {"overlap": 0.2}, "expired_api_key"),
        ("rotate", {"overlap": 1.2}, "expired_api_key"),
        ("end_overlap", {}, "expired_api_key"),
        ("narrow", {}, ["market:read"]),
    ],
    ids=str,
)
def test_a_change_is_effective_in_every_process_within_a_second(processes, change, arguments, afterwards):
    *watching, changing = processes
    made = changing.call("create")
    for process in watching:
        process.watch(made["key"])
    changed = changing.call(change, key_id=made["id"], **arguments)
    for process in watching:
        told = process.answer()
        assert told["seen"] == [BOTH, afterwards]
        late = told["last"][json.dumps(BOTH)] - max(changed["at"], changed.get("end", 0.0))
        assert is_kept(EFFECTIVE_SECONDS, late), f"admitted {late:.3f} s after it was {change}d"


def test_a_key_holds_until_the_end_of_its_overlap(processes):
    watching, _, changing = processes
    for _ in range(ATTEMPTS):
        made = changing.call("create")
        watching.watch(made["key"])
        changed = changing.call("rotate", key_id=made["id"], overlap=1.2)
        told = watching.answer()
        # Otherwise it took so long to store the end that it came before everybody knew of it.
        if changed["at"] + MAX_AGE_SECONDS < changed["end"]:
            break
    # The cache knew of the end before it came, so that it is the end to the moment.
    assert told["last"][json.dumps(BOTH)] <= changed["end"] <= told["first"][json.dumps("expired_api_key")]


@pytest.mark.parametrize("by_itself", [False, True])
@pytest.mark.parametrize("overlap", [60, 0])
def test_of_rotations_at_once_one_succeeds(processes, by_itself, overlap):
    for _ in range(5):
        made = processes[0].call("create")
        by = {"by": made["key"]} if by_itself else {}
        at = time.time() + 0.05
        for process in processes:
            process.ask("rotate", key_id=made["id"], overlap=overlap, at=at, **by)
        told = [process.answer() for process in processes]
        assert sorted("at" in answer for answer in told) == [False, False, True]
        assert [answer["refused"] for answer in told if "at" not in answer] == ["not_rotatable"] * 2


def test_of_calls_at_once_with_one_idempotency_key_one_makes_the_key(processes):
    for number in range(10):
        at = time.time() + 0.05
        for process in processes:
            process.ask("create_once", idempotency_key=f"k{number}", at=at)
        told = [process.answer() for process in processes]
        assert len({answer["id"] for answer in told}) == 1
        assert sorted(answer["replayed"] for answer in told) == [False, True, True]
