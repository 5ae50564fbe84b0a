"""SIGTERM while requests run: whatever was accepted is answered, whatever was answered is there."""

import logging
import os
import random
import signal
import time
from itertools import count

import pytest

from tests.marketdata_project.front_server import eventually
from tests.marketdata_project.serve_process import Served
from tests.patience import is_kept
from tests.system.batches import stored_counts
from tests.system.clients import Crowd, clients_of_every_web
from tests.system.installation import UNLIMITED, WORKERS, installed
from tests.system.ledger import SYMBOLS, Ledger, Sender

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0


def stopped(served: Served) -> float:
    """Seconds until every process has ended after a SIGTERM."""
    began = time.monotonic()
    os.kill(served.process.pid, signal.SIGTERM)
    assert served.ended()
    return time.monotonic() - began


@pytest.mark.seconds
def test_a_stop_signal_under_load_cuts_no_request_that_was_accepted(tmp_path, seed):
    ledger = Ledger()
    sender = Sender(ledger, random.Random(seed), count(1), day=0)
    with installed(tmp_path) as installation:
        served, key = installation.served, installation.new_key(rate=UNLIMITED)
        with clients_of_every_web(served, key, each=3) as clients:
            with Crowd(clients, sender) as crowd:
                time.sleep(1)
                assert eventually(lambda: len(ledger.processes_with_work()) == WORKERS)
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
        assert is_kept(DRAIN_SECONDS, [seconds])
        assert "Traceback" not in served.output.read_text()
