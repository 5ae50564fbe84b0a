"""Sources in order: the first whole, right answer counts, and what the others said is kept."""

from contextlib import ExitStack

from jobs.backfills.sources.order import fetch_first
from store.datasets import BARS
from tests.jobs.backfills.answers import (
    COMMIT,
    installation,
    request_for,
    source_served,
    stream_of,
    streamed,
    streams,
    trades,
)
from tests.ops.outbound.hostile_server import cuts, hangs, in_turn, says
from tests.ops.test_breaker import Clock

ROWS = trades(1_000)


def test_of_four_sources_only_the_right_one_gives_rows_and_breakers_open_and_close(monkeypatch):
    """One hangs, two answers 500, three is cut in the midst of its stream, four is right. Later one is well."""
    limits = {"connect": 0.5, "read": 0.1, "total": 3, "attempts": 1, "failures": 2, "open_seconds": 60}
    behaviours = [
        in_turn([hangs, hangs, streams(ROWS)]),
        says(b"", 500),
        cuts(stream_of(ROWS)[: len(stream_of(ROWS)) // 2]),
        streams(ROWS),
    ]
    clock = Clock()
    with ExitStack() as stack:
        servers = [stack.enter_context(source_served(behave)) for behave in behaviours]
        names = ["one", "two", "three", "four"]
        sources = [
            installation(server.url, name, limits=limits) for server, name in zip(servers, names, strict=True)
        ]
        for source in sources:
            monkeypatch.setattr(source._destination._breaker, "_clock", clock)
        for _ in range(2):
            first = fetch_first(sources, request_for())
            assert first.fetched is not None
            assert (first.fetched.source, first.fetched.commit) == ("four", COMMIT)
            assert first.fetched.rows.equals(ROWS)
            assert [told.source for told in first.told] == names[:3]
        assert [len(streamed(server)) for server in servers] == [2, 2, 2, 2]

        first = fetch_first(sources, request_for())
        assert first.fetched is not None
        assert all("after at most 60 s" in told.said for told in first.told)
        assert [len(streamed(server)) for server in servers] == [2, 2, 2, 3]

        clock.now += 61
        for calls in (3, 4):
            first = fetch_first(sources, request_for())
            assert first.fetched is not None
            assert (first.fetched.source, first.told, len(streamed(servers[0]))) == ("one", (), calls)


def test_what_each_said_is_kept_with_the_shortest_time_to_wait():
    bad = trades(3, price=[190.0, -1.0, 190.0])
    with ExitStack() as stack:
        servers = [
            stack.enter_context(source_served(behave))
            for behave in (
                says(b"", 503, Retry_After="700"),
                says(b"", 429, Retry_After="70"),
                streams(bad),
                says(b'{"code":"unknown_symbol"}', 404),
            )
        ]
        sources = [installation(server.url, f"s{number}") for number, server in enumerate(servers)]
        first = fetch_first(sources, request_for())
        assert (first.fetched, first.rows, first.retry_after) == (None, None, 70)
        assert [told.source for told in first.told] == ["s0", "s1", "s2", "s3"]
        assert [told.said.partition(" ")[0] for told in first.told] == [
            "answered",
            "answered",
            "row",
            "answered",
        ]
        assert (
            fetch_first(sources, request_for(dataset=BARS)).told[0].said == "is not configured to give this"
        )
        assert [len(streamed(server)) for server in servers] == [1, 1, 1, 1]


def test_without_sources_there_is_nothing():
    assert fetch_first([], request_for()).told == ()
