"""One Idempotency-Key on fifty threads over both web processes has one effect."""

import threading
from collections import Counter

import pytest

from store.datasets import TRADES
from tests.front.front_server import Reply
from tests.patience import PATIENCE_SECONDS
from tests.system.batches import Batch, stored_counts
from tests.system.clients import Client, Crowd, clients_of_every_web
from tests.system.installation import UNLIMITED

pytestmark = pytest.mark.xdist_group("installation")

THREADS_EACH = 25


@pytest.mark.parametrize("query", ["", "dedupe=none"], ids=["dedupe=rows", "dedupe=none"])
def test_one_key_on_fifty_threads_has_one_effect(installation, query):
    batch = Batch(3, f"ONCE{len(query)}", size=500, has_ids=False)
    answers: list[Reply] = []
    together = threading.Barrier(2 * THREADS_EACH)

    def send(client: Client, _stopping: threading.Event) -> None:
        together.wait(PATIENCE_SECONDS)
        answers.append(client.ingest_patiently(batch.body, query=query, headers={"Idempotency-Key": "one"}))

    key = installation.new_key(rate=UNLIMITED)
    with clients_of_every_web(installation.served, key, each=THREADS_EACH) as clients:
        with Crowd(clients, send) as crowd:
            crowd.end()
    assert crowd.errors == []
    assert installation.store.log(TRADES, batch.symbol).head.number == 1
    assert stored_counts(installation.store, [batch.symbol]) == {(batch.symbol, batch.number): batch.size}
    statuses = Counter(answer.status for answer in answers)
    assert sum(statuses.values()) == 2 * THREADS_EACH
    assert statuses.keys() <= {200, 409}, {answer.body for answer in answers}
    done = [answer for answer in answers if answer.status == 200]
    assert {answer.body for answer in done} == {done[0].body}
    assert done[0].json()["stored"] == batch.size
    assert sum("idempotency-replayed" not in answer.headers for answer in done) == 1
    assert {answer.json()["code"] for answer in answers if answer.status == 409} <= {"in_progress"}
