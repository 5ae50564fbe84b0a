"""A server that is hostile, or somebody between: what it sends is bounded, and no credential goes elsewhere."""

import asyncio
import hashlib
import math
from typing import Any

import pyarrow as pa
import pytest
from client_server import bomb, document, reply

from marketdata_client import (
    AsyncClient,
    BadAnswer,
    Client,
    Retries,
    ServerFailed,
    Unreachable,
)
from marketdata_client.bodies import BodyDecoder

pytestmark = pytest.mark.system

ONCE = Retries(attempts=1)
KEY = "md_AbCd1234_secret"
HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"a":'
TWO = pa.table({"price": [1.0, 2.0]})


def outcome(url: str, path: str = "/api/v1/limits", **options: Any) -> Any:
    """What `get` of both clients comes to: the same."""

    async def asynchronous() -> Any:
        async with AsyncClient(url, KEY, retries=ONCE, **options) as client:
            return await client.get(path)

    results: list[Any] = []
    for attempt in (lambda: asyncio.run(asynchronous()), lambda: synchronous(url, path, **options)):
        try:
            results.append(attempt())
        except (BadAnswer, Unreachable) as error:
            results.append(error)
    first, second = results
    assert (type(first), str(first)) == (type(second), str(second))
    return first


def synchronous(url: str, path: str, **options: Any) -> Any:
    with Client(url, KEY, retries=ONCE, **options) as client:
        return client.get(path)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(scripted, status: int):
    other = scripted(document({}))
    server = scripted(document({}, status, Location=f"{other.url}/api/v1/limits"))
    assert "redirects are not followed" in str(outcome(server.url))
    assert b"md_AbCd1234" in server.received[0]
    assert other.received == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(b"x" * 5000), "too large"),
        (reply(bomb(40), Content_Encoding="gzip"), "too large"),
        (reply(b"{}", Content_Encoding="br"), "was not asked for"),
        (reply(b"{}", Content_Encoding="gzip, gzip"), "was not asked for"),
        (reply(b"no gzip", Content_Encoding="gzip"), "not valid gzip"),
        (reply(bomb(0)[:-4], Content_Encoding="gzip"), "not whole"),
        (reply(b"{"), "not a JSON"),
        (reply(b"[" * 4000), "not a JSON"),
        (b"HTTP/1.1 204 None\r\nContent-Length: 0\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", ""),
        (b"SSH-2.0-OpenSSH\r\n", ""),
        (HALF, ""),
        (b"", ""),
    ],
    ids=[
        "large",
        "bomb",
        "brotli",
        "twice compressed",
        "no gzip",
        "cut gzip",
        "cut JSON",
        "nested",
        "long header",
        "no HTTP",
        "half",
        "nothing",
    ],
)
def test_answers_that_are_none(scripted, answer: bytes, says: str):
    found = outcome(scripted(answer).url, max_answer=4096)
    assert isinstance(found, BadAnswer | Unreachable)
    assert says in str(found)


def test_a_body_without_end_is_left(scripted):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = scripted(head, forever=b"4\r\naaaa\r\n")
    assert isinstance(outcome(server.url, max_answer=100_000), BadAnswer)


def test_a_body_that_drips_is_left(scripted):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    server = scripted([head, *[b"a"] * 100])
    assert "too long" in str(outcome(server.url, timeout=0.6))


def test_a_problem_of_any_content_is_an_error(scripted):
    for body in (b"", b"<html>", b"[]", b'{"code":7,"errors":[1,{"path":2}]}', b"\xff"):
        with pytest.raises(ServerFailed, match="503") as caught:
            synchronous(scripted(reply(body, 503)).url, "/api/v1/limits")
        assert caught.value.code == "unknown"


def test_cookies_are_not_kept(scripted):
    server = scripted(document({}, Set_Cookie="session=hostile; Path=/"))
    with Client(server.url, KEY) as client:
        client.get("/a")
        client.get("/b")
    assert b"hostile" not in server.received[1]


def page(link: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TWO.schema) as writer:
        writer.write_table(TWO)
    kind = "application/vnd.apache.arrow.stream"
    return reply(sink.getvalue().to_pybytes(), content_type=kind, Link=link)


def test_a_link_to_another_host_is_not_followed(scripted):
    other = scripted(page())
    server = scripted(page(f'<{other.url}/steal?cursor=next>; rel="next"'), page())
    with Client(server.url, KEY) as client:
        assert [len(each) for each in client.pages("trades", "A", last=2)] == [2, 2]
    assert other.received == []
    assert b"cursor=next" in server.received[1]


def test_pages_that_lead_to_themselves_end(scripted):
    server = scripted(page('<x?cursor=again>; rel="next"'))
    with Client(server.url, KEY) as client, pytest.raises(BadAnswer, match="leads to itself"):
        list(client.pages("trades", "A", last=2))


def arrow_stream(*, rows: int = 2, digest: str | None = None, compression: str | None = None) -> bytes:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    sink = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(sink, TWO.schema, options=options)
    writer.write_table(TWO)
    before = sink.tell()
    sha256 = digest or hashlib.sha256(_written(compression)[:before]).hexdigest()
    trailer = {"end": "true", "rows": str(rows), "sha256": sha256, "commit": "trades=1-abcdef"}
    writer.write_batch(_empty(), custom_metadata=trailer)
    writer.close()
    return bytes(sink.getvalue().to_pybytes())


def _empty() -> pa.RecordBatch:
    return pa.record_batch([pa.array([], pa.float64())], schema=TWO.schema)


def _written(compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        sink, TWO.schema, options=pa.ipc.IpcWriteOptions(compression=compression)
    ) as writer:
        writer.write_table(TWO)
    return bytes(sink.getvalue().to_pybytes())


def streamed(scripted, body: bytes) -> list[int]:
    kind = "application/vnd.apache.arrow.stream"
    server = scripted(reply(body, content_type=kind, X_Commit="trades=1-abcdef"))
    with Client(server.url, KEY, retries=ONCE) as client:
        return [len(table) for table in client.stream("trades", "A")]


def test_a_whole_stream_is_taken(scripted):
    assert streamed(scripted, arrow_stream()) == [2]


@pytest.mark.parametrize(
    "body",
    [
        arrow_stream(rows=3),
        arrow_stream(digest="0" * 64),
        arrow_stream()[:-8],
        arrow_stream() + b"more",
        _written(None),
        arrow_stream(compression="zstd"),
        b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"a" * 100,
        b"\xff\xff\xff\xff\x10\0\0\0" + b"\xff" * 16,
        b"nothing of Arrow",
        b"",
    ],
    ids=["rows", "digest", "no end", "more", "no trailer", "compressed", "huge", "garbage", "text", "empty"],
)
def test_a_stream_that_is_not_whole_is_an_error(scripted, body: bytes):
    with pytest.raises(BadAnswer):
        streamed(scripted, body)


def test_a_compressed_body_comes_in_bounded_pieces():
    decoder = BodyDecoder({"content-encoding": "gzip"}, limit=math.inf, seconds=math.inf)
    sizes = [len(piece) for piece in decoder.pieces(bomb(40))]
    decoder.end()
    assert sum(sizes) == 40 * 2**20
    assert max(sizes) <= 2**20
