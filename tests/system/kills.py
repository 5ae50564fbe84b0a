"""One cycle of a kill: load, SIGKILL to every process, a restart, and what must then be there."""

import time

from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import Served, start
from tests.patience import PROGRAM_SECONDS
from tests.system.batches import stored_counts
from tests.system.clients import CUT, Client, Crowd, clients_of_every_web, connected
from tests.system.installation import ENVIRONMENT, WORKERS, Installation
from tests.system.ledger import SYMBOLS, Ledger, Sender

CLIENTS_EACH = 3


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


def restarted(installation: Installation, **environment: str) -> float:
    """Start it again on its port; returns when that was asked."""
    before = installation.served
    began = time.monotonic()
    served = start(before.data_dir, before.output, **{**ENVIRONMENT, **environment}, PORT=str(before.port))
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
