"""The same faults below a running server: a client gets a clear problem, others go on, and so does it when the fault ends.

More of it, through the same table: `tests/system/test_kill.py` and `tests/system/test_full_disk.py`.
"""

import random
from collections.abc import Iterator

import pytest

from tests.chance import SOAK
from tests.faults.table import Tallies
from tests.front.front_server import Reply
from tests.system.batches import Batch, stored_counts
from tests.system.clients import OHLC, Client, connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed, switched

SYMBOLS = ["DOUBT", "ROTTEN", "SOUND"]
TRIES = 100 if SOAK else 5


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(
        tmp_path_factory.mktemp("faults"), **WEB_ONLY, **switched(failing_disk="1")
    ) as installation:
        yield installation
        assert installation.is_ready()
        assert "was ended by signal" not in installation.served.output.read_text()


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    with connected(installation.port, installation.new_key(rate=UNLIMITED)) as client:
        yield client


def check_problem(reply: Reply, status: int, code: str) -> None:
    problem = reply.json()
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code), problem
    assert reply.headers["content-type"] == "application/problem+json"
    assert int(reply.headers["retry-after"]) > 0
    assert problem["title"]
    assert problem["detail"]


def check_batches(installation: Installation, acknowledged: list[Batch]) -> tuple[int, int]:
    """How many of the batches are lost, and how many are there in part or twice."""
    counts = stored_counts(installation.store, SYMBOLS)
    lost = sum(counts[batch.symbol, batch.number] == 0 for batch in acknowledged)
    torn = sum(counts[batch.symbol, batch.number] not in {0, batch.size} for batch in acknowledged)
    return lost, torn


@pytest.mark.xdist_group("faults")
def test_records_whose_sync_fails_are_503_outcome_unknown_until_the_disk_is_well(
    installation: Installation, client: Client, tallied: Tallies
):
    tally = tallied("10 sync of the commit record fails, over HTTP")
    switch = installation.served.data_dir / "syncs-fail"
    acknowledged = [Batch(1000, "DOUBT", 5, has_ids=True)]
    assert client.ingest(acknowledged[0].body).status == 200
    for number in range(1, TRIES + 1):
        batch = Batch(number, "DOUBT", 20, has_ids=number % 2 == 0)
        headers = {"Idempotency-Key": f"doubt-{number}"} if number % 3 == 0 else {}
        switch.touch()
        check_problem(client.ingest(batch.body, headers=headers), 503, "outcome_unknown")
        assert client.bars("DOUBT").status == 200
        switch.unlink()
        reply = client.ingest(batch.body, headers=headers)
        assert reply.status == 200, reply.body
        acknowledged.append(batch)
        lost, torn = check_batches(installation, acknowledged)
        tally.add(acknowledged=len(acknowledged), lost=lost, torn=torn)
    tally.settle()


@pytest.mark.xdist_group("faults")
def test_damaged_rows_are_503_data_damaged_and_other_windows_and_symbols_are_served(
    installation: Installation, client: Client, rng: random.Random, tallied: Tallies
):
    tally = tallied("04 damaged rows, over HTTP")
    batches = [Batch(1, "ROTTEN", 60, has_ids=True), Batch(2, "ROTTEN", 60, has_ids=True, day=1)]
    batches.append(Batch(3, "SOUND", 60, has_ids=True))
    assert {client.ingest(batch.body).status for batch in batches} == {200}
    path = installation.served.data_dir / "trades" / "ROTTEN" / "2025-01-02.csv"
    text = path.read_bytes()
    header = text.index(b"\n") + 1
    refused = 0
    for turn in range(TRIES):
        damaged = bytearray(text)
        damaged[rng.randrange(header, len(text))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        # Another window each time, so that no answer comes from a cache.
        end = f"2025-01-02T{12 + turn // 60:02}:{turn % 60:02}:00Z"
        rotten = window(client, "ROTTEN", "2025-01-02T00:00:00Z", end)
        sound = window(client, "ROTTEN", "2025-01-03T00:00:00Z", end.replace("-02T", "-03T"))
        other = window(client, "SOUND", "2025-01-02T00:00:00Z", end)
        path.write_bytes(text)
        if rotten.status != 200:
            check_problem(rotten, 503, "data_damaged")
            refused += 1
        wrong = [rotten.status == 200 and volume(rotten) != 60]
        wrong += [volume(sound) != 2 * 60, volume(other) != 3 * 60]
        wrong += [volume(window(client, "ROTTEN", "2025-01-02T00:00:00Z", end)) != 60]
        tally.add(acknowledged=len(batches), torn=sum(wrong))
    # What was derived from the rows before may answer in their stead, and then rightly.
    assert refused or (path.parent / ".derived").exists()
    tally.settle()


def window(client: Client, symbol: str, start: str, end: str) -> Reply:
    return client.get(f"{OHLC}?symbol={symbol}&interval=1min&start={start}&end={end}")


def volume(reply: Reply) -> float:
    assert reply.status == 200, reply.body
    return float(sum(bar["volume"] for bar in reply.json()["data"]))
