"""No space: 507, nothing lost, nothing in part, reads go on, and ingest recovers when there is space again."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import pytest

from tests.chance import SOAK
from tests.faults.table import Tally
from tests.front.front_server import Reply, eventually
from tests.patience import is_kept
from tests.system.batches import Batch, stored_counts
from tests.system.clients import OHLC, Client, clients_of_every_web
from tests.system.installation import UNLIMITED, WEB_ONLY, WORKERS, Installation, installed

RECOVERS_SECONDS = 5.0
SYMBOLS = ["FULLA", "FULLB"]
LEFT_BYTES = 100 * 1024
FILE_LIMIT_BYTES = 150 * 1024
REFUSALS = 100 if SOAK else 5
FAULT = "05 full disk, over HTTP"

Brim = Callable[[], None]
"""Takes the last byte."""
NoSpace = Callable[[Installation], AbstractContextManager[Brim]]


@contextlib.contextmanager
def full_disk(installation: Installation) -> Iterator[Brim]:
    """A file takes all but a little of the installation's file system."""
    filler = installation.served.data_dir.parent / "filler"

    def fill(left: int) -> None:
        state = os.statvfs(filler.parent)
        with filler.open("ab") as file:
            file.write(bytes(max(state.f_bavail * state.f_frsize - left, 0)))

    def fill_to_the_brim() -> None:
        with contextlib.suppress(OSError):
            while True:
                fill(-4096)

    fill(LEFT_BYTES)
    try:
        yield fill_to_the_brim
    finally:
        filler.unlink()


@contextlib.contextmanager
def limited_files(installation: Installation) -> Iterator[Brim]:
    """No process of the installation may let a file grow beyond a limit: the same as a full disk for each."""
    for pid in installation.served.members():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, resource.RLIM_INFINITY))
    try:
        yield lambda: None
    finally:
        for pid in installation.served.members():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of a few MiB."""
    if os.geteuid() != 0:
        reason = "a file system can be mounted by root only; the file size limit is tested all the same"
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)(reason)
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Feed:
    """Sends batches and keeps the answers' statuses."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = count(1)
        self.stored: list[Batch] = []
        self.refused: list[Batch] = []

    def send(self, symbol: str) -> Reply:
        batch = Batch(next(self._numbers), symbol, 500, has_ids=True)
        reply = self._client.ingest(batch.body)
        (self.stored if reply.status == 200 else self.refused).append(batch)
        return reply

    def send_again(self) -> list[Reply]:
        replies = [self._client.ingest(batch.body) for batch in self.refused]
        self.stored += self.refused
        self.refused.clear()
        return replies


def refused_for_want_of_space(feed: Feed) -> None:
    for symbol in SYMBOLS * 200:
        reply = feed.send(symbol)
        if reply.status != 200:
            problem = reply.json()
            assert (reply.status, problem["code"]) == (507, "store_full"), problem
            assert reply.headers["content-type"] == "application/problem+json"
            assert int(reply.headers["retry-after"]) > 0
        if len(feed.refused) == REFUSALS:
            return
    raise AssertionError("the disk never became full")


def check_reads(client: Client, feed: Feed) -> None:
    """Answers from the files."""
    for symbol in SYMBOLS:
        expected = sum(batch.number * batch.size for batch in feed.stored if batch.symbol == symbol)
        for interval in ("1min", "5min", "1h", "1d"):
            reply = client.get(f"{OHLC}?symbol={symbol}&interval={interval}&end=2025-02-0{len(interval)}")
            assert reply.status == 200, reply.body
            assert sum(bar["volume"] for bar in reply.json()["data"]) == expected
    assert client.get("/readyz").status == 200


def check_a_full_disk(installation: Installation, no_space: NoSpace, tally: Tally) -> None:
    # Without quotas: a count that Redis lacks is read from the database, which is full, too: that is 503.
    key = installation.new_key(tier="internal", rate=UNLIMITED)
    with clients_of_every_web(installation.served, key, each=1) as (other, client):
        feed = Feed(client)
        assert {feed.send(symbol).status for symbol in SYMBOLS} == {200}
        with no_space(installation) as fill_to_the_brim:
            refused_for_want_of_space(feed)
            fill_to_the_brim()
            for reader in (other, client):
                check_reads(reader, feed)
            check_a_killed_process_comes_back(installation, key, other, feed)
            check_rows(installation, feed)
        began = time.monotonic()
        assert eventually(lambda: all(feed.send(symbol).status == 200 for symbol in SYMBOLS))
        assert is_kept(RECOVERS_SECONDS, time.monotonic() - began)
        again = feed.send_again()
        assert {(reply.status, reply.json()["stored"]) for reply in again} == {(200, 500)}
        check_reads(client, feed)
        assert client.get(OHLC, {"X-Correlation-ID": "after-the-flood"}).status == 400
    check_rows(installation, feed)
    tally.add(tried=REFUSALS, acknowledged=len(feed.stored))
    tally.settle()
    assert eventually(lambda: len(installation.audited("after-the-flood")) == 1)


def check_a_killed_process_comes_back(
    installation: Installation, key: str, client: Client, feed: Feed
) -> None:
    assert client.process is not None
    os.kill(client.process, signal.SIGKILL)
    installation.served.says(rf"\(process {client.process}\) was ended by signal 9")
    assert eventually(lambda: len(installation.webs()) == WORKERS)
    with clients_of_every_web(installation.served, key, each=1) as readers:
        for reader in readers:
            check_reads(reader, feed)


def check_rows(installation: Installation, feed: Feed) -> None:
    counts = stored_counts(installation.store, SYMBOLS)
    assert counts == {(batch.symbol, batch.number): batch.size for batch in feed.stored}


def check_no_process_was_lost(installation: Installation, *, since: int = 0) -> None:
    """Beside the one that was killed, as far as was said since so many characters."""
    said = installation.served.output.read_text()[since:]
    ended = re.findall(r"was ended by signal \d+|ended with exit code \d+", said)
    assert set(ended) <= {"was ended by signal 9"}


@pytest.mark.soak
def test_a_full_file_system(small_disk, tmp_path, tallied):
    with installed(tmp_path, data_dir=small_disk / "data", **WEB_ONLY) as installation:
        check_a_full_disk(installation, full_disk, tallied(FAULT))
        check_no_process_was_lost(installation)


@pytest.mark.xdist_group("installation")
def test_files_that_may_not_grow(installation, tallied):
    since = len(installation.served.output.read_text())
    check_a_full_disk(installation, limited_files, tallied(FAULT))
    check_no_process_was_lost(installation, since=since)
