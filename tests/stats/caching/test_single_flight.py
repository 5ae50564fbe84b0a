import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stats.caching.entry import Entry
from stats.caching.shared import CLAIM_SECONDS, SharedCache
from stats.caching.single_flight import EntrySource, FlightResult, ProcessFlights, ThreadFlights
from tests.marketdata_project.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from tests.stats.caching.builders import client_of

CALLERS = 50


def entry(body: bytes = b"body") -> Entry:
    return Entry(body=body, content_type="text/plain", etag='"e"', computed_at=1.0)


def kept_nowhere(_entry: Entry, _token: str) -> None:
    """What was computed is not stored, and the claim is left alone."""


def await_waiting(flights: ThreadFlights, count: int) -> None:
    assert eventually(lambda: flights.waiting("key") >= count)


def test_fifty_threads_share_one_computation():
    flights, computed = ThreadFlights(), []

    def work() -> FlightResult:
        computed.append(1)
        await_waiting(flights, CALLERS - 1)
        return FlightResult(entry(), EntrySource.COMPUTED)

    with ThreadPoolExecutor(CALLERS) as pool:
        results = list(pool.map(lambda _: flights.run("key", work), range(CALLERS)))
    assert len(computed) == 1
    assert sorted(result.source.value for result in results) == ["computed"] + ["joined"] * (CALLERS - 1)
    assert len({id(result.entry) for result in results}) == 1


def test_a_failure_reaches_only_who_computed():
    flights, attempts = ThreadFlights(), []

    def work() -> FlightResult:
        attempts.append(1)
        if len(attempts) == 1:
            await_waiting(flights, 9)
            raise LookupError("first")
        return FlightResult(entry(), EntrySource.COMPUTED)

    def run(_: int) -> str:
        try:
            return flights.run("key", work).entry.body.decode()
        except LookupError:
            return "failed"

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(run, range(10)))
    assert sorted(outcomes) == ["body"] * 9 + ["failed"]
    assert flights.waiting("key") == 0


def test_keys_do_not_wait_for_one_another():
    flights = ThreadFlights()

    def inner() -> FlightResult:
        return FlightResult(entry(b"inner"), EntrySource.COMPUTED)

    assert flights.run("outer", lambda: flights.run("inner", inner)).entry.body == b"inner"


def test_after_a_landing_the_next_caller_computes():
    flights = ThreadFlights()
    results = [
        FlightResult(entry(b"first"), EntrySource.COMPUTED),
        FlightResult(entry(b"second"), EntrySource.COMPUTED),
    ]
    computed = iter(results)
    assert [flights.run("key", lambda: next(computed)) for _ in results] == results


def test_who_runs_out_of_patience_computes():
    flights, hold, began = ThreadFlights(patience_seconds=0.02), threading.Event(), threading.Event()

    def slow() -> FlightResult:
        began.set()
        hold.wait(PATIENCE_SECONDS)
        return FlightResult(entry(b"slow"), EntrySource.COMPUTED)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flights.run, "key", slow)
        began.wait(PATIENCE_SECONDS)
        assert (
            flights.run("key", lambda: FlightResult(entry(b"own"), EntrySource.COMPUTED)).entry.body == b"own"
        )
        hold.set()
        assert first.result().entry.body == b"slow"


@pytest.mark.usefixtures("redis_server")
class TestClaims:
    def test_a_claim_has_one_owner_until_released(self):
        shared = SharedCache()
        claims = [shared.claim("key", token) for token in ("one", "two")]
        assert [claim is not None and claim.owned for claim in claims] == [True, False]
        shared.release("key", "two")
        again = shared.claim("key", "three")
        assert again is not None
        assert not again.owned
        shared.release("key", "one")
        freed = shared.claim("key", "three")
        assert freed is not None
        assert freed.owned

    def test_a_claim_ends_by_itself(self, redis_server):
        SharedCache().claim("key", "one")
        with client_of(redis_server) as client:
            assert 0 < client.pttl("flight:key") <= CLAIM_SECONDS * 1_000

    def test_a_claim_tells_what_is_stored(self):
        shared = SharedCache()
        shared.store("key", "another's", entry(), seconds=30)
        claim = shared.claim("key", "one")
        assert claim is not None
        assert claim.entry == entry()

    def test_what_is_stored_is_told_without_a_claim(self, redis_server):
        shared = SharedCache()
        shared.store("key", "another's", entry(), seconds=30)
        claim = shared.claim("key", "one")
        assert claim is not None
        assert not claim.owned
        with client_of(redis_server) as client:
            assert not client.exists("flight:key")

    def test_an_entry_lands_and_ends_the_claim_of_its_owner_alone(self, redis_server):
        shared = SharedCache()
        shared.claim("key", "one")
        assert shared.store("key", "two", entry(), seconds=30) == len(entry().to_bytes("key"))
        with client_of(redis_server) as client:
            assert client.exists("flight:key")
            shared.store("key", "one", entry(), seconds=30)
            assert not client.exists("flight:key")
            assert 25 < client.ttl("key") <= 30

    def test_a_claim_ends_though_redis_has_no_room_for_the_entry(self, redis_server):
        shared = SharedCache()
        shared.claim("key", "one")
        with client_of(redis_server) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            assert shared.store("key", "one", entry(), seconds=30) == 0
            assert not client.exists("flight:key")

    @pytest.mark.parametrize("kind", ["text", "list", "forever"])
    def test_garbage_in_place_of_a_claim_or_entry_holds_nobody_up(self, redis_server, kind: str):
        with client_of(redis_server) as client:
            for key in ("key", "flight:key"):
                if kind == "list":
                    client.rpush(key, "garbage")
                else:
                    client.set(key, "garbage", px=10**9 if kind == "forever" else None)
        shared = SharedCache()
        claim = shared.claim("key", "one")
        assert claim is not None
        assert (claim.owned, claim.entry) == (True, None)
        shared.release("key", "one")
        with client_of(redis_server) as client:
            assert not client.exists("flight:key")

    def test_who_gets_the_claim_takes_what_landed_before(self, redis_server):
        shared = SharedCache()
        shared.store("key", "another's", entry(), seconds=30)
        result = ProcessFlights(shared).run("key", lambda: pytest.fail("computed again"), kept_nowhere)
        assert result == FlightResult(entry(), EntrySource.FOUND)
        with client_of(redis_server) as client:
            assert not client.exists("flight:key")

    def test_an_entry_is_taken_though_its_owner_died_before_letting_go(self):
        shared = SharedCache()
        shared.claim("key", "one who died")
        shared.store("key", "another's", entry(), seconds=30)
        flights = ProcessFlights(shared, patience_seconds=0.05)
        result = flights.run("key", lambda: entry(b"computed again"), kept_nowhere)
        assert result == FlightResult(entry(), EntrySource.FOUND)

    def test_a_failed_owner_lets_go_of_its_claim(self, redis_server):
        def fail() -> Entry:
            raise LookupError

        with pytest.raises(LookupError):
            ProcessFlights(SharedCache()).run("key", fail, kept_nowhere)
        with client_of(redis_server) as client:
            assert not client.exists("flight:key")

    def test_who_waits_in_vain_computes_and_leaves_the_claim(self, redis_server):
        shared = SharedCache()
        shared.claim("key", "one who died")
        result = ProcessFlights(shared, patience_seconds=0.05).run("key", entry, kept_nowhere)
        assert result == FlightResult(entry(), EntrySource.COMPUTED)
        with client_of(redis_server) as client:
            assert client.exists("flight:key")

    def test_without_redis_everybody_computes(self, redis_server):
        redis_server.kill()
        result = ProcessFlights(SharedCache()).run("key", entry, kept_nowhere)
        assert result == FlightResult(entry(), EntrySource.COMPUTED)
