"""Large bodies are decoded in a process of their own: the results, errors and questions are those of this process."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from store.datasets import TRADES
from store.exceptions import StorageError
from tests.api_client import trade
from trades import children, decoder
from trades.batches.row_batch import BatchOptions
from trades.correction_batch import read_corrections
from trades.decoder import LARGE_BYTES, decoded
from trades.exceptions import BatchRefused, DecoderEnded
from trades.formats import READERS
from web.requests.work import counted_work

ROWS = 30_000


def body_of(media_type: str, rows: int = ROWS, **changes) -> bytes:
    row = trade(**changes)
    if media_type == "text/csv":
        cells = {name: str(value) for name, value in row.items()}
        body = "\n".join([",".join(cells), *[",".join(cells.values())] * rows]).encode() + b"\n"
    else:
        body = orjson.dumps({"trades": [row] * rows})
    assert len(body) > LARGE_BYTES
    return body


@pytest.mark.parametrize(
    ("body", "is_apart"),
    [
        (b"x" * LARGE_BYTES, False),
        (b"x" * (LARGE_BYTES + 1), True),
        (b"{".ljust(2 * LARGE_BYTES), False),
        (b"{".ljust(2 * LARGE_BYTES + 1), True),
        ((b"[" + b"1," * 2**16).ljust(LARGE_BYTES + 1), False),
        ((b"[" + b"1," * (2**16 + 1)).ljust(LARGE_BYTES + 1), True),
        ((b"{" + b"1\n" * (2**16 + 1)).ljust(LARGE_BYTES + 1), True),
    ],
)
def test_only_json_of_few_values_may_be_twice_as_large_to_be_decoded_here(monkeypatch, body, is_apart):
    apart = []
    monkeypatch.setattr(decoder, "_decoded_apart", lambda _, body, __: apart.append(body))
    nothing: Any = None
    decoded(lambda *_: nothing, body, BatchOptions(TRADES))
    assert bool(apart) is is_apart


@pytest.mark.parametrize("media_type", ["application/json", "text/csv"])
def test_a_large_body_has_the_same_rows(media_type):
    body, options = body_of(media_type), BatchOptions(TRADES)
    here, apart = READERS[media_type](body, options), decoded(READERS[media_type], body, options)
    assert apart.symbol == here.symbol == "AAPL"
    assert apart.rows.equals(here.rows)


def test_a_wrong_row_of_a_large_body_has_the_same_error():
    body, options = body_of("application/json", price="x"), BatchOptions(TRADES)
    with pytest.raises(BatchRefused) as here:
        READERS["application/json"](body, options)
    with pytest.raises(BatchRefused) as apart:
        decoded(READERS["application/json"], body, options)
    assert str(apart.value) == str(here.value)
    assert (apart.value.code, apart.value.errors) == (here.value.code, here.value.errors)


def test_questions_about_symbols_are_answered_by_this_process():
    asked = []

    def canonical(symbol: str) -> str:
        asked.append((symbol, os.getpid()))
        return f"{symbol}.X"

    options = BatchOptions(
        TRADES, canonical=canonical, allows_nonpositive_price=lambda symbol: symbol == "AAPL.X"
    )
    batch = decoded(READERS["application/json"], body_of("application/json", price=-1), options)
    assert (batch.symbol, batch.rows.column("price")[0].as_py()) == ("AAPL.X", -1)
    assert set(asked) == {("AAPL", os.getpid())}


def test_an_error_of_an_answer_is_raised_here():
    def canonical(_symbol: str) -> str:
        raise StorageError("the store is away")

    with pytest.raises(StorageError, match="the store is away"):
        decoded(
            READERS["application/json"],
            body_of("application/json"),
            BatchOptions(TRADES, canonical=canonical),
        )


def test_corrections_are_decoded_apart_too():
    correction = {"action": "cancel", "timestamp": "2025-01-02T14:30:12.500Z", "price": 190.02, "volume": 250}
    body = orjson.dumps({"symbol": "AAPL", "corrections": [correction] * 10_000}) + b" " * LARGE_BYTES
    batch = decoded(read_corrections, body, BatchOptions(TRADES))
    assert (batch.symbol, len(batch.corrections)) == ("AAPL", 10_000)


def test_a_child_that_is_killed_is_an_error_and_the_next_body_is_decoded():
    pids: list[int] = []

    def canonical(symbol: str) -> str:
        if not pids:
            pids.extend(children_of_server())
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        return symbol

    options, body = BatchOptions(TRADES, canonical=canonical), body_of("application/json")
    with pytest.raises(DecoderEnded):
        decoded(READERS["application/json"], body, options)
    assert pids
    assert decoded(READERS["application/json"], body, options).symbol == "AAPL"


def children_of_server() -> list[int]:
    """The children of the server process of this process."""
    server = children._server._process
    assert server is not None
    return [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def test_several_threads_have_their_bodies_decoded_at_once():
    symbols: list[str] = []

    def decode(symbol: str) -> None:
        body = body_of("application/json", symbol=symbol)
        symbols.append(decoded(READERS["application/json"], body, BatchOptions(TRADES)).symbol)

    threads = [threading.Thread(target=decode, args=(f"S{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(symbols) == ["S0", "S1", "S2", "S3"]


def test_the_work_of_a_refused_body_is_counted():
    body = body_of("application/json", price="x")
    with counted_work() as work, pytest.raises(BatchRefused):
        decoded(READERS["application/json"], body, BatchOptions(TRADES))
    assert work.tokens == body.count(b"{") // 1_000


def test_a_decoder_that_does_not_answer_is_not_waited_for(monkeypatch):
    assert decoded(READERS["application/json"], body_of("application/json"), BatchOptions(TRADES)).symbol
    server = children._server._process
    assert server is not None
    monkeypatch.setattr(children, "LIFE_SECONDS", 1)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DecoderEnded):
            decoded(READERS["application/json"], body_of("application/json"), BatchOptions(TRADES))
    finally:
        os.kill(server.pid, signal.SIGCONT)
