"""The product as real processes, in short: what the README shows, and one kill -9. The rest is in `tests/system`."""

import random
import re
from collections.abc import Iterator
from itertools import count

import pytest

from tests.docs.test_pages import AGAIN, README, blocks_from, body_in
from tests.system.batches import Batch
from tests.system.clients import INGEST, connected
from tests.system.installation import UNLIMITED, Installation, installed
from tests.system.kills import (
    check_nothing_is_lost_or_torn,
    killed_while_sending,
    restarted,
    retry_what_was_cut,
    seconds_to_first_answer,
)
from tests.system.ledger import SYMBOLS, Ledger, Sender

pytestmark = pytest.mark.xdist_group("smoke")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("smoke")) as installation:
        yield installation


def test_the_calls_of_the_readme_answer_as_printed(installation: Installation):
    call, stored, bars, document = blocks_from(README, INGEST)[:4]
    again = stored.replace('"stored":3,"duplicates":0,"duplicate_rows":[]', AGAIN)
    path = re.search(r"8000(/v1/stats/ohlc[^\"]*)", bars)
    assert path is not None
    with connected(installation.port, installation.key) as client:
        assert [client.ingest(body_in(call)).body.decode() for _ in range(2)] == [stored, again]
        assert client.get(path[1]).body.decode() == document
        page = client.get("/api/v1/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.soak
def test_kill_9_loses_and_doubles_nothing(installation: Installation):
    key, numbers, ledger = installation.new_key(rate=UNLIMITED), count(1), Ledger()
    with connected(installation.port, key) as client:
        for symbol in SYMBOLS:
            ledger.deliver(client, Batch(next(numbers), symbol, 10, has_ids=True))
    sender = Sender(ledger, random.Random(0), numbers, day=0)
    killed_while_sending(installation, key, sender, ledger, seconds=0.3)
    seconds_to_first_answer(installation.port, key, restarted(installation))
    check_nothing_is_lost_or_torn(installation, ledger)
    with connected(installation.port, key) as client:
        retry_what_was_cut(ledger, client)
    check_nothing_is_lost_or_torn(installation, ledger)
