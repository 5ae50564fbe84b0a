"""Rows of another installation: those that it has, or none."""

import io

import orjson
import pyarrow as pa
import pytest

from jobs.backfills.exceptions import NotOffered, SourceFailed
from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from store.protocol import ALL_TIME, Window
from store.timestamps import SECOND_NS
from tests.api_client import Api, trade
from tests.jobs.backfills.answers import (
    COMMIT,
    START_NS,
    WINDOW,
    installation,
    request_for,
    source_served,
    stream_of,
    streamed,
    streams,
    trades,
)
from tests.ops.outbound.hostile_server import Behaviour, cuts, drips, hangs, in_turn, says, served
from trades.stores import market_store

ROWS = trades(1_000)
WHOLE = stream_of(ROWS)
MINUTE = 60 * SECOND_NS
TARGET = (
    "/api/v1/market-data/equities/AAPL/trades/stream"
    "?start=2025-01-02T14%3A30%3A00Z&end=2025-01-02T15%3A30%3A00Z&format=arrow&trailer=1"
)


def test_all_rows_come_in_the_datasets_schema_with_the_commit():
    with source_served(streams(ROWS)) as server:
        fetched = installation(server.url).fetch(request_for())
        path, headers = server.calls[0]
    assert fetched.rows.equals(ROWS)
    assert fetched.rows.schema == TRADES.schema
    assert (fetched.source, fetched.commit, fetched.answered) == ("desk", COMMIT, (WINDOW,))
    assert path == TARGET
    assert headers["X-API-Key"] == "md_abcdef_secret"


def test_a_real_installations_stream_ends_equal_row_by_row(api: Api, default_store):
    rows = [
        trade(timestamp="2025-01-02T14:30:00.123456789Z", trade_id="7", sequence=3, exchange="XNAS", conditions=["regular", "odd_lot"]),
        trade(timestamp="2025-01-02T14:30:00.123456789Z", volume=0, received_at="2025-01-02T14:30:01Z", buyer_is_maker=True),
        trade(timestamp="2025-01-02T15:29:59.999999999Z", price=0.1),
        trade(timestamp="2025-01-02T15:30:00Z"),
    ]  # fmt: skip
    assert api.ingest(*rows).status_code == 200
    answer = api.call("GET", TARGET)
    body = b"".join(answer.streaming_content)
    with source_served(says(body, X_Commit=answer["X-Commit"])) as server:
        fetched = installation(server.url).fetch(request_for())
    stored = market_store().log(TRADES, "AAPL").at().rows(ALL_TIME).select(TRADES.schema.names)
    assert fetched.rows.equals(stored.slice(0, 3).cast(TRADES.schema))
    assert fetched.commit == answer["X-Commit"]


def test_a_real_installation_tells_its_first_trade_and_its_gaps(api: Api, default_store):
    """Rows that it lacks itself are not taken for minutes without a trade."""
    declared = orjson.dumps({"exchange": "XNAS", "gap_rule": "calendar"})
    assert api.call("PUT", "/api/v1/instruments/AAPL", declared).status_code == 200
    rows = [trade(timestamp=f"2025-01-02T14:{minute}:00Z") for minute in (31, 33)]
    assert api.ingest(*rows).status_code == 200
    window = Window(START_NS, START_NS + 4 * MINUTE)

    with source_served(streams(trades(0))) as server:
        installation(server.url).fetch(request_for(window))
        asked = [path for path, _ in server.calls]
    # The answers are made here, because the thread of a server does not see the test's transaction.
    answers = {path: api.call("GET", path) for path in asked}
    assert [answer.status_code for answer in answers.values()] == [200, 200, 200]
    bodies = {path: says(b"".join(each), X_Commit=each["X-Commit"]) for path, each in answers.items()}
    with served(lambda call: bodies[call.path](call)) as server:
        fetched = installation(server.url).fetch(request_for(window))
    assert fetched.rows.num_rows == 2
    assert fetched.answered == (
        Window(START_NS + MINUTE, START_NS + 2 * MINUTE),
        Window(START_NS + 3 * MINUTE, START_NS + 4 * MINUTE),
    )


def test_no_rows_are_an_answer_too():
    with source_served(says(stream_of(trades(0)), X_Commit=COMMIT)) as server:
        fetched = installation(server.url).fetch(request_for())
    assert (fetched.rows.num_rows, fetched.answered) == (0, (WINDOW,))


@pytest.mark.parametrize("end", [1, len(WHOLE) // 2, len(WHOLE) - 8, len(WHOLE) - 1])
def test_a_stream_that_ends_early_gives_no_rows(end: int):
    """Also if HTTP calls it whole, as an intermediary might."""
    with source_served(in_turn([says(WHOLE[:end], X_Commit=COMMIT), cuts(WHOLE[:end])])) as server:
        for _ in range(2):
            with pytest.raises(SourceFailed):
                installation(server.url).fetch(request_for())


@pytest.mark.parametrize("bit", [3, len(WHOLE) // 2])
def test_a_changed_byte_gives_no_rows(bit: int):
    body = bytearray(WHOLE)
    body[bit] ^= 4
    with source_served(says(bytes(body), X_Commit=COMMIT)) as server, pytest.raises(SourceFailed):
        installation(server.url).fetch(request_for())


def without_trailer(rows: pa.Table) -> bytes:
    whole = stream_of(rows)
    return whole[: whole.rindex(b"sha256") - 200] + b"\xff\xff\xff\xff\0\0\0\0"


def compressed(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def of_type(name: str, arrow_type: pa.DataType) -> bytes:
    sink = io.BytesIO()
    batch = pa.record_batch([pa.array([1.5, 2.5]).cast(arrow_type)], names=[name])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def of_many_nulls() -> bytes:
    """A billion rows in a few bytes: nulls have no buffers."""
    batch = pa.record_batch({field.name: pa.nulls(10**9) for field in TRADES.schema})
    return batch.schema.serialize().to_pybytes() + batch.serialize().to_pybytes()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (hangs, "ReadTimeout"),
        (drips, "not a whole Arrow stream"),
        (cuts(WHOLE[: len(WHOLE) // 2]), "broke off"),
        (says(b"", 500), "answered 500"),
        (says(b'{"code":"missing_scope"}', 403), "answered 403 missing_scope"),
        (says(b'{"code":"<script>"}', 403), "answered 403"),
        (says(b"[]", 401), "answered 401"),
        (says(b"", 302, Location="http://127.0.0.1/"), "answered 302"),
        (says(b"<html>", X_Commit=COMMIT), "not a whole Arrow stream"),
        (says(WHOLE + b"\0", X_Commit=COMMIT), "does not end with its trailer"),
        (says(without_trailer(ROWS), X_Commit=COMMIT), "Arrow stream"),
        (says(compressed(ROWS), X_Commit=COMMIT), "Arrow stream"),
        (says(of_many_nulls(), X_Commit=COMMIT), "Arrow stream"),
        (says(b"\xff\xff\xff\xff\xff\xff\xff\x7f", X_Commit=COMMIT), "Arrow stream"),
        (says(WHOLE[:4] + b"\xff\xff\xff\xff" + WHOLE[8:], X_Commit=COMMIT), "Arrow stream"),
        (says(ROWS.schema.serialize().to_pybytes() * 2, X_Commit=COMMIT), "Arrow stream"),
        (says(of_type("price", pa.string()), X_Commit=COMMIT), "price has another type"),
        (says(stream_of(ROWS, rows=999), X_Commit=COMMIT), "not those"),
        (says(stream_of(ROWS, sha256="0" * 64), X_Commit=COMMIT), "not those"),
        (says(stream_of(ROWS, commit="trades=16-000000"), X_Commit=COMMIT), "other commits"),
        (says(WHOLE), "other commits"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_told_and_gives_no_rows(behave: Behaviour, said: str):
    limits = {"connect": 0.5, "read": 0.2, "total": 1, "attempts": 1}
    with source_served(behave) as server, pytest.raises(SourceFailed) as raised:
        installation(server.url, limits=limits).fetch(request_for())
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_unknown_symbol_is_not_offered():
    with (
        source_served(says(b'{"code":"unknown_symbol"}', 404)) as server,
        pytest.raises(NotOffered, match="unknown_symbol"),
    ):
        installation(server.url).fetch(request_for())


def test_a_time_to_wait_is_passed_on():
    with source_served(says(b"", 429, Retry_After="90")) as server, pytest.raises(SourceFailed) as raised:
        installation(server.url).fetch(request_for())
    assert raised.value.retry_after == 90


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ({"symbol": "ESH26", "instrument_class": "future"}, "futures/ESH26/trades"),
        ({"symbol": "BTC-USD", "instrument_class": "crypto", "dataset": QUOTES}, "crypto/BTC-USD/quotes"),
        ({"symbol": "AAPL250117C00190000", "instrument_class": "option", "dataset": OPTION_QUOTES}, "options/AAPL250117C00190000/quotes"),
        ({"symbol": "^GSPC A+B"}, "equities/%5EGSPC%20A%2BB/trades"),
    ],
)  # fmt: skip
def test_the_path_goes_by_the_instrument(terms, path: str):
    with source_served(says(b"", 500)) as server:
        source = installation(server.url)
        assert source.offers(request_for(**terms))
        with pytest.raises(SourceFailed):
            source.fetch(request_for(**terms))
        assert streamed(server)[0].partition("/stream")[0] == f"/api/v1/market-data/{path}"


@pytest.mark.parametrize(
    "terms",
    [
        {"dataset": BARS},
        {"dataset": OPTION_QUOTES},
        {"dataset": TRADES, "instrument_class": "option"},
        {"dataset": QUOTES, "instrument_class": "option"},
    ],
)
def test_what_no_stream_has_is_not_offered(terms):
    with source_served(says(b"")) as server:
        assert not installation(server.url).offers(request_for(**terms))
        with pytest.raises(NotOffered):
            installation(server.url).fetch(request_for(**terms))
        assert server.calls == []


def test_an_offer_is_of_datasets_exchanges_and_symbols():
    with source_served(says(b"")) as server:
        for offer, is_offered in (
            ({}, True),
            ({"datasets": ["trades"], "exchanges": ["XNAS"], "symbols": ["A*"]}, True),
            ({"datasets": ["quotes"]}, False),
            ({"exchanges": ["XNYS"]}, False),
            ({"symbols": ["B*", "aapl"]}, False),
        ):
            assert installation(server.url, offer=offer).offers(request_for(exchange="XNAS")) is is_offered
        assert not installation(server.url, offer={"exchanges": ["XNAS"]}).offers(request_for())


def test_an_instant_is_asked_to_the_nanosecond():
    with source_served(streams(trades(1))) as server:
        installation(server.url).fetch(request_for(Window(START_NS - 1, START_NS + SECOND_NS + 1)))
        assert (
            "start=2025-01-02T14%3A29%3A59.999999999Z&end=2025-01-02T14%3A30%3A01.000000001Z"
            in streamed(server)[0]
        )


HOLE = b'{"start":"2025-01-02T14:40:00Z","end":"2025-01-02T14:41:00Z","reason":"gap"}'
PENDING = b'{"start":"2025-01-02T15:29:00Z","end":"2025-01-02T16:00:00Z","reason":"pending"}'
QUIET = b'{"start":"2025-01-02T14:35:00Z","end":"2025-01-02T14:36:00Z","reason":"no_trades"}'


def test_where_the_other_installation_has_a_gap_itself_nothing_is_known():
    """Else the rows that both lack would count as minutes without a trade."""
    with source_served(streams(ROWS), gaps=b'{"gaps":[%s,%s,%s]}' % (QUIET, HOLE, PENDING)) as server:
        fetched = installation(server.url).fetch(request_for())
        assert (
            server.calls[1][0]
            .partition("&resolution")[0]
            .endswith("AAPL/gaps" + TARGET[TARGET.index("?") : -len("&format=arrow&trailer=1")])
        )
    assert fetched.rows.equals(ROWS)
    assert fetched.answered == (
        Window(WINDOW.start_ns, WINDOW.start_ns + 10 * MINUTE),
        Window(WINDOW.start_ns + 11 * MINUTE, WINDOW.end_ns - MINUTE),
    )


@pytest.mark.parametrize(
    ("first", "start_ns"),
    [
        ("2025-01-02T14:31:00Z", START_NS + MINUTE),
        ("2025-01-02T14:30:00Z", START_NS),
        ("2025-01-02T16:00:00Z", None),
    ],
)
def test_before_the_first_trade_of_the_other_installation_nothing_is_known(first: str, start_ns: int | None):
    with source_served(streams(trades(0)), first=first) as server:
        fetched = installation(server.url).fetch(request_for())
    assert fetched.answered == (() if start_ns is None else (Window(start_ns, WINDOW.end_ns),))


@pytest.mark.parametrize(
    ("gaps", "commit"),
    [
        (b'{"gaps":[]}', "trades=18-abcdef"),
        (b'{"gaps":[{"start":"soon","end":"later","reason":"gap"}]}', COMMIT),
        (b'{"gaps":[{}]}', COMMIT),
        (b'{"gaps":null}', COMMIT),
        (b"[]", COMMIT),
        (b"<html>", COMMIT),
    ],
)
def test_without_its_gaps_as_of_the_same_commit_nothing_is_known_of_absence(gaps: bytes, commit: str):
    with source_served(streams(ROWS), gaps, commit) as server:
        fetched = installation(server.url).fetch(request_for())
    assert fetched.rows.equals(ROWS)
    assert fetched.answered == ()


def test_an_installation_that_tells_no_gaps_gives_rows():
    behaviours = in_turn([streams(ROWS), says(b'{"code":"not_found"}', 404)])
    with served(behaviours) as server:
        fetched = installation(server.url).fetch(request_for())
    assert (fetched.rows.num_rows, fetched.answered) == (1_000, ())
