"""Every call of a caller leaves one record in the database, whoever is killed on the way; refusals of nobody are counted."""

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from functools import partial
from http.client import HTTPConnection
from itertools import count

import orjson
import pytest

from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from tests.system.batches import Batch
from tests.system.clients import CUT, INGEST, OHLC, Client, Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, Installation

pytestmark = pytest.mark.xdist_group("installation")

FLOOD = 300
# Nobody else calls from there.
FLOODER = "127.0.0.77"


def calls(symbol: str) -> list[tuple[str, str, bytes | None, dict[str, str], int]]:
    """Method, path, body, headers and the status to expect, of all sorts of calls."""
    body = Batch(1, symbol, 3, has_ids=True).body
    json = {"Content-Type": "application/json"}
    bars = f"{OHLC}?symbol={symbol}"
    return [
        ("POST", INGEST, body, json, 200),
        ("POST", f"/api{INGEST}", body, json, 200),
        ("POST", INGEST, b"{bad", json, 400),
        ("POST", INGEST, orjson.dumps({"trades": []}), json, 422),
        ("POST", INGEST, b"a,b", {"Content-Type": "text/plain"}, 415),
        ("PUT", INGEST, b"", {}, 405),
        ("GET", bars, None, {}, 200),
        ("GET", bars, None, {}, 200),
        ("GET", bars, None, {"Cookie": "a=b"}, 200),
        ("GET", bars, None, {"If-None-Match": "*"}, 304),
        ("HEAD", bars, None, {}, 200),
        ("OPTIONS", OHLC, None, {}, 200),
        ("GET", f"{bars}&interval=2min", None, {}, 422),
        ("GET", f"{OHLC}?symbol=NEVERSTORED", None, {}, 404),
        ("GET", "/v1/nothing", None, {}, 404),
        ("GET", "/api/v1/cache/stats", None, {}, 200),
    ]


def test_calls_of_all_sorts_leave_one_record_each(installation):
    expected: Counter[tuple[str, str, int]] = Counter()
    numbers = count()
    with clients_of_every_web(installation.served, installation.key, each=1) as clients:
        for client in clients:
            for method, path, body, headers, status in calls("AUDITED"):
                correlation = {"X-Correlation-ID": f"sorts-{next(numbers):06}"}
                reply = client.call(method, path, body, {**headers, **correlation})
                assert reply.status == status, (method, path, reply.body)
                expected[method, path.partition("?")[0], status] += 1
        for path in ("/healthz", "/readyz", "/docs"):
            clients[0].get(path, {"X-Correlation-ID": "sorts-not-a-call"})
    total = next(numbers)
    assert eventually(lambda: len(installation.audited("sorts-")) >= total)
    records = installation.audited("sorts-")
    assert Counter((row["method"], row["path"], row["status"]) for row in records) == expected
    assert len({row["correlation_id"] for row in records}) == total


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_auditrecord SET path = '/x'", "DELETE FROM audit_auditrecord"]
)
def test_the_database_of_an_installation_changes_no_record(installation, statement):
    assert eventually(lambda: len(installation.audited("")) > 0)
    with installation._database() as database, pytest.raises(sqlite3.IntegrityError, match="never changed"):
        database.execute(statement)


def test_a_flood_of_refusals_leaves_few_records_and_none_is_forgotten(installation):
    flood = HTTPConnection(
        "127.0.0.1", installation.port, timeout=PATIENCE_SECONDS, source_address=(FLOODER, 0)
    )
    with contextlib.closing(flood):
        for number in range(FLOOD):
            flood.request("GET", ("/api/v1/keys", OHLC, "/v1/nothing")[number % 3])
            response = flood.getresponse()
            response.read()
            assert response.status in {401, 404}
    assert refusals_in(installation)[0] < FLOOD // 2
    # Whichever of them has counted the flood writes what it has counted when it ends.
    for web in installation.webs():
        os.kill(web, signal.SIGTERM)
    assert eventually(lambda: refusals_in(installation)[0] == FLOOD)
    # One whole record and one count for each minute that the flood has touched.
    assert refusals_in(installation)[1] < FLOOD // 10
    assert "are as they were written" in installation.served.manage("audit", "verify")


def refusals_in(installation: Installation) -> tuple[int, int]:
    """How many refusals of the flood the records in the database tell of, and how many records."""
    with installation._database() as database:
        found = "SELECT event, detail FROM audit_auditrecord WHERE address = ?"
        records = database.execute(found, [FLOODER]).fetchall()
    counts = [orjson.loads(detail) for event, detail in records if event == "audit.refusals_counted"]
    return len(records) - len(counts) + sum(int(each["refusals"]) for each in counts), len(records)


class Caller:
    """Makes calls without a pause, each with an id of its own, on a new connection when one is cut."""

    def __init__(self, installation: Installation, key: str) -> None:
        self._port, self._key = installation.port, key
        self._numbers = count()
        self.answered: set[str] = set()
        self.cut: set[str] = set()

    def has_answered(self, calls: int) -> bool:
        return len(self.answered) >= calls

    def __call__(self, client: Client, stopping: threading.Event) -> None:
        while not stopping.is_set():
            name = f"killed-{next(self._numbers):08}"
            try:
                client.get(f"{OHLC}?symbol=AUDITED", {"X-Correlation-ID": name})
                self.answered.add(name)
            except CUT:
                self.cut.add(name)
                client.close()
            time.sleep(0.002)


def kill_all_but_redis(installation: Installation) -> None:
    for pid, command in installation.served.members().items():
        if "marketdata web" in command or "marketdata worker" in command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_kill_loses_and_doubles_no_record_of_an_answered_call(installation):
    with connected(installation.port, installation.key) as client:
        client.ingest(Batch(1, "AUDITED", 3, has_ids=True).body)
    key = installation.new_key(rate=UNLIMITED)
    caller = Caller(installation, key)
    with clients_of_every_web(installation.served, key, each=2) as clients:
        with Crowd(clients, caller) as crowd:
            for _ in range(2):
                enough = len(caller.answered) + 200
                assert eventually(partial(caller.has_answered, enough))
                kill_all_but_redis(installation)
                assert installation.is_healthy()
        assert crowd.errors == []
    assert installation.is_complete()

    def recorded() -> Counter[str]:
        return Counter(row["correlation_id"] for row in installation.audited("killed-"))

    # Calls that were cut may have left a record, too: the number of records says nothing.
    assert eventually(lambda: caller.answered <= recorded().keys()), caller.answered - recorded().keys()
    assert set(recorded().values()) == {1}
    assert recorded().keys() <= caller.answered | caller.cut
