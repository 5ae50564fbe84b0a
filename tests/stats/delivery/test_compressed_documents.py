"""JSON documents that are large go out compressed to who takes that: bars, reports, lists.

Pages and secrets never do.
"""

import gzip
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pytest
import time_machine

from tests.api_client import OHLC, Api, answer, trade
from tests.installation import shared_installation

pytestmark = pytest.mark.django_db
DECODERS = {
    "gzip": gzip.decompress,
    "zstd": lambda body: pa.CompressedInputStream(pa.BufferReader(body), "zstd").read(),
}
VARY = "Accept, Accept-Encoding, Authorization, X-API-Key"
EQUITIES = "/api/v1/market-data/equities"
SYMBOLS = [f"S{number}" for number in range(10)]
# Documents that are large once there are bars of some symbols.
DOCUMENTS: dict[str, tuple[str, dict[str, str]]] = {
    "bars": (OHLC, {"symbol": "S0"}),
    "bars of v1": ("/v1/stats/ohlc", {"symbol": "S0"}),
    "a page of bars": (OHLC, {"symbol": "S0", "limit": "50"}),
    "latest": (f"{EQUITIES}/latest", {"symbols": ",".join(SYMBOLS)}),
    "snapshot": (f"{EQUITIES}/snapshot", {"symbols": ",".join(SYMBOLS)}),
    "instruments": ("/api/v1/instruments", {}),
    "calendar": ("/api/v1/calendar", {"exchange": "XNYS", "start": "2024-01-01", "end": "2024-03-01"}),
    "conditions": ("/api/v1/conditions", {}),
}
KEPT = [name for name, (path, _) in DOCUMENTS.items() if "ohlc" in path or EQUITIES in path]


def stock(api: Api) -> None:
    """Store a hundred minutes of one symbol, and a trade of each of the others."""
    minutes = [
        trade(
            symbol="S0",
            timestamp=f"2025-01-02T{15 + minute // 60}:{minute % 60:02}:00Z",
            price=100.0 + minute,
        )
        for minute in range(100)
    ]
    for rows in (minutes, *([trade(symbol=symbol)] for symbol in SYMBOLS[1:])):
        assert api.ingest(*rows).status_code == 200


@pytest.fixture(scope="module")
def stocked(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """A caller before stored documents; the clock stands still, so that no minute ends between two answers."""
    path = tmp_path_factory.mktemp("stocked") / "store"
    now = time_machine.travel("2100-01-04T12:00:10Z", tick=False)
    with now, shared_installation(django_db_blocker, path) as api:
        stock(api)
        yield api


def ask(api: Api, name: str, **headers: str) -> Any:
    path, params = DOCUMENTS[name]
    response = api.get(path, params, **headers)
    assert response.status_code == 200, response.content
    return response


@pytest.mark.parametrize("encoding", DECODERS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_large_document_is_compressed_and_the_same(stocked: Api, name: str, encoding: str):
    plain = ask(stocked, name)
    packed = ask(stocked, name, accept_encoding=encoding)
    assert "Content-Encoding" not in plain
    assert packed["Content-Encoding"] == encoding
    assert DECODERS[encoding](packed.content) == plain.content
    assert len(packed.content) < len(plain.content)
    assert packed["Content-Type"] == plain["Content-Type"]
    assert packed["Vary"] == plain["Vary"] == VARY


def test_a_small_document_goes_out_as_it_is(stocked: Api):
    params = {"symbol": "S1"}
    response = stocked.ohlc(params)
    packed = stocked.get(OHLC, params, accept_encoding="zstd, gzip")
    assert "Content-Encoding" not in packed
    assert packed.content == response.content


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_for_a_browser_is_not_compressed(stocked: Api, name: str):
    page = ask(stocked, name, accept="text/html", accept_encoding="gzip, zstd")
    assert page["Content-Type"].startswith("text/html")
    assert "Content-Encoding" not in page
    assert b"<html" in page.content


def test_answers_with_a_new_key_and_lists_of_keys_are_not_compressed(stocked: Api):
    body = orjson.dumps({"name": "n" * 60, "scopes": ["market:read"]})
    made = stocked.call("POST", "/api/v1/keys", body, accept_encoding="gzip, zstd")
    assert made.status_code == 201, made.content
    assert "Content-Encoding" not in made
    listed = stocked.get("/api/v1/keys", accept_encoding="gzip, zstd")
    assert "Content-Encoding" not in listed
    assert answer(listed)
