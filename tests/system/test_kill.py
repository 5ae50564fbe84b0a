"""kill -9 of every process at random moments: what was acknowledged is there, whole, once; nothing is there in part."""

import logging
import os
import random
import time
from collections import Counter
from itertools import count

import orjson
import pandas as pd

from tests.marketdata_project.front_server import eventually
from tests.marketdata_project.serve_process import Served, start
from tests.patience import PROGRAM_SECONDS, is_kept
from tests.system.batches import Batch, stored_counts
from tests.system.clients import CUT, Client, Crowd, clients_of_every_web, connected
from tests.system.installation import ENVIRONMENT, UNLIMITED, WORKERS, Installation, installed
from tests.system.ledger import SYMBOLS, Ledger, Sender

logger = logging.getLogger(__name__)

CLIENTS_EACH = 3
FIRST_ANSWER_SECONDS = 5.0
CYCLES = 100 if os.environ.get("SOAK") else 10


def killed_while_sending(
    installation: Installation, key: str, sender: Sender, ledger: Ledger, seconds: float
) -> None:
    """Send for a random while, then kill all processes, a request being under way in each web process."""
    served = installation.served
    with clients_of_every_web(served, key, each=CLIENTS_EACH) as clients:
        pids = list(served.members())
        with Crowd(clients, sender) as crowd:
            time.sleep(seconds)
            assert eventually(lambda: len(ledger.processes_with_work()) == WORKERS)
            installation.kill_everything(pids)
        assert crowd.errors == []
    assert served.ended()


def restarted(installation: Installation) -> float:
    """Start it again on its port; returns when that was asked."""
    before = installation.served
    began = time.monotonic()
    served = start(before.data_dir, before.output, **ENVIRONMENT, PORT=str(before.port))
    installation.served = Served(served.process, before.data_dir, before.output)
    return began


def seconds_to_first_answer(port: int, key: str, began: float) -> float:
    while True:
        with connected(port, key) as client:
            try:
                reply = client.bars(SYMBOLS[0])
            except CUT:
                assert time.monotonic() < began + PROGRAM_SECONDS, "no answer after a restart"
                time.sleep(0.02)
                continue
        assert reply.status == 200, reply.body
        return time.monotonic() - began


def check_nothing_is_lost_or_torn(installation: Installation, ledger: Ledger) -> None:
    counts = stored_counts(installation.store, SYMBOLS)
    wrong = [batch for batch in ledger.acknowledged if counts[batch.symbol, batch.number] != batch.size]
    assert wrong == [], "acknowledged, and not there as sent"
    torn = [batch for batch in ledger.cut if counts[batch.symbol, batch.number] not in {0, batch.size}]
    assert torn == [], "stored in part"
    known = {(batch.symbol, batch.number) for batch in [*ledger.acknowledged, *ledger.cut]}
    assert counts.keys() <= known


def retry_what_was_cut(ledger: Ledger, client: Client) -> int:
    """Send it again; returns how many of the batches had been stored before."""
    stored_before = 0
    for batch in ledger.cut:
        reply = client.ingest_patiently(batch.body)
        assert reply.status == 200, reply.body
        answer = reply.json()
        assert answer["stored"] + answer["duplicates"] == batch.size, answer
        assert answer["stored"] in {0, batch.size}, answer
        stored_before += answer["stored"] == 0
    ledger.acknowledged += ledger.cut
    ledger.cut.clear()
    return stored_before


def check_files(installation: Installation, ledger: Ledger) -> None:
    """Every file is readable, and the bytes that commits name are exactly the rows that were sent."""
    expected: Counter[tuple[str, int]] = Counter()
    for batch in ledger.acknowledged:
        expected[batch.symbol, batch.number] = batch.size
    by_pandas: Counter[tuple[str, int]] = Counter()
    by_commits: Counter[str] = Counter()
    for symbol in SYMBOLS:
        folder = installation.served.data_dir / "trades" / symbol
        for file in folder.glob("*.csv"):
            table = pd.read_csv(file, dtype={"trade_id": str})
            assert table["volume"].notna().all()
            by_pandas.update((symbol, int(volume)) for volume in table["volume"])
        contents = {file.name: file.read_bytes() for file in folder.glob("*.csv")}
        for line in (folder / "commits.jsonl").read_bytes().splitlines():
            for part in orjson.loads(line)["parts"]:
                text = contents[part["file"]][part["offset"] : part["offset"] + part["length"]]
                assert text.endswith(b"\n")
                assert text.count(b"\n") == part["rows"]
                by_commits[symbol] += part["rows"]
    assert by_pandas == expected
    assert {
        symbol: sum(n for (s, _), n in expected.items() if s == symbol) for symbol in by_commits
    } == by_commits


def test_kill_9_loses_and_doubles_nothing(tmp_path, seed, tallied):
    tally = tallied("02 kill -9 of a whole installation, over HTTP")
    rng, numbers, ledger = random.Random(seed), count(1), Ledger()
    first_answers: list[float] = []
    survived = 0
    with installed(tmp_path) as installation:
        key = installation.new_key(rate=UNLIMITED)
        with connected(installation.port, key) as client:
            for symbol in SYMBOLS:
                ledger.deliver(client, Batch(next(numbers), symbol, 10, has_ids=True))
        for cycle in range(CYCLES):
            sender = Sender(ledger, random.Random(rng.random()), numbers, day=cycle // 2)
            killed_while_sending(installation, key, sender, ledger, rng.uniform(0.05, 0.6))
            began = restarted(installation)
            first_answers.append(seconds_to_first_answer(installation.port, key, began))
            check_nothing_is_lost_or_torn(installation, ledger)
            with connected(installation.port, key) as client:
                survived += retry_what_was_cut(ledger, client)
            check_nothing_is_lost_or_torn(installation, ledger)
            tally.add(acknowledged=len(ledger.acknowledged))
            logger.info(
                "cycle %d: %d batches, %d of all cut ones were stored",
                cycle,
                len(ledger.acknowledged),
                survived,
            )
        check_files(installation, ledger)
    tally.settle()
    logger.info("seconds to the first answer: %s", [round(seconds, 1) for seconds in first_answers])
    assert is_kept(FIRST_ANSWER_SECONDS, first_answers)
