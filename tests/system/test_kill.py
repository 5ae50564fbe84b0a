"""kill -9 of every process at random moments: what was acknowledged is there, whole, once; nothing is there in part."""

import logging
import random
from collections import Counter
from itertools import count

import orjson
import pandas as pd

from tests.chance import SOAK
from tests.patience import is_kept
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed
from tests.system.kills import (
    check_nothing_is_lost_or_torn,
    killed_while_sending,
    restarted,
    retry_what_was_cut,
    seconds_to_first_answer,
)
from tests.system.ledger import SYMBOLS, Ledger, Sender

logger = logging.getLogger(__name__)

FIRST_ANSWER_SECONDS = 5.0
CYCLES = 100 if SOAK else 1


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
    with installed(tmp_path, **WEB_ONLY) as installation:
        key = installation.new_key(rate=UNLIMITED)
        with connected(installation.port, key) as client:
            for symbol in SYMBOLS:
                ledger.deliver(client, Batch(next(numbers), symbol, 10, has_ids=True))
        for cycle in range(CYCLES):
            sender = Sender(ledger, random.Random(rng.random()), numbers, day=cycle // 2)
            killed_while_sending(installation, key, sender, ledger, rng.uniform(0.05, 0.6))
            began = restarted(installation, **WEB_ONLY)
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
    assert is_kept(FIRST_ANSWER_SECONDS, *first_answers)
