"""SIGTERM while requests run: what was accepted is answered, what was answered is stored, last uses of keys are written."""

import logging
import os
import random
import signal
import time
from datetime import UTC, datetime
from itertools import count

import pytest

from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import Served
from tests.patience import is_kept
from tests.system.batches import stored_counts
from tests.system.clients import Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, WEB_ONLY, WORKERS, Installation, installed
from tests.system.ledger import SYMBOLS, Ledger, Sender

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0


def stopped(served: Served) -> float:
    """Seconds until every process has ended after a SIGTERM."""
    began = time.monotonic()
    os.kill(served.process.pid, signal.SIGTERM)
    assert served.ended()
    return time.monotonic() - began


def last_use_of(installation: Installation, key: str) -> datetime:
    with installation._database() as database:
        query = "SELECT last_used_at FROM ratelimit_apikey WHERE prefix = ?"
        (used_at,) = database.execute(query, [key.split("_")[1]]).fetchone()
    return datetime.fromisoformat(used_at).replace(tzinfo=UTC)


@pytest.mark.seconds
def test_a_stop_signal_under_load_cuts_no_request_that_was_accepted(tmp_path, seed):
    ledger = Ledger()
    sender = Sender(ledger, random.Random(seed), count(1), day=0)
    with installed(tmp_path, **WEB_ONLY) as installation:
        served, key = installation.served, installation.new_key(rate=UNLIMITED)
        other_key, began = installation.new_key(), datetime.now(UTC)
        with clients_of_every_web(served, key, each=3) as clients:
            with Crowd(clients, sender) as crowd:
                time.sleep(1)
                assert eventually(lambda: len(ledger.processes_with_work()) == WORKERS)
                with connected(installation.port, other_key) as client:
                    assert client.get("/api/v1/clock").status == 200
                seconds = stopped(served)
            assert crowd.errors == []
        assert served.process.returncode == 0
        counts = stored_counts(installation.store, SYMBOLS)
        expected = {(batch.symbol, batch.number): batch.size for batch in ledger.acknowledged}
        # A request that met a closing connection was not accepted: nothing of it is stored.
        assert counts == expected
        logger.info(
            "%d acknowledged, %d not accepted, ended in %.1f s", len(expected), len(ledger.cut), seconds
        )
        assert is_kept(DRAIN_SECONDS, seconds)
        assert "Traceback" not in served.output.read_text()
        assert last_use_of(installation, other_key) >= began
