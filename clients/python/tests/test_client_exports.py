"""Exports: submitted, awaited, downloaded, each file checked; and the calls of webhooks, verified."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from client_server import document, reply
from standardwebhooks import Webhook

from marketdata_client import AsyncClient, BadAnswer, BadSignature, Client, NotFound, Retries, verify_webhook

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONTENT = b"timestamp,price\r\n" * 1000


@pytest.fixture(scope="module")
def stored(url: str, key: str) -> str:
    rows = [
        {"timestamp": f"2025-01-0{day}T14:30:00Z", "symbol": "EXPORTED", "price": 5.0, "volume": day}
        for day in (2, 2, 3)
    ]
    with Client(url, key) as client:
        client.ingest("trades", rows)
    return "EXPORTED"


def test_an_export_is_downloaded_and_goes_on_in_a_folder_that_has_a_part(
    client: Client, stored: str, tmp_path: Path
):
    states: list[dict[str, Any]] = []
    manifest = client.export(
        "trades", stored, tmp_path / "a", start="2025-01-02", end="2025-01-04", on_progress=states.append
    )
    assert (manifest["rows"], len(manifest["files"])) == (3, 2)
    paths = [tmp_path / "a" / each["path"] for each in manifest["files"]]
    assert sorted(row for path in paths for row in pq.read_table(path)["volume"].to_pylist()) == [2, 2, 3]
    assert hashlib.sha256((tmp_path / "a" / "manifest.json").read_bytes()).hexdigest() == manifest["id"]
    assert client.get(f"/api/v1/datasets/{manifest['id']}")["rows"] == 3
    assert states[-1]["state"] == "downloaded"
    assert states[-1]["progress"]["done"] == sum(path.stat().st_size for path in paths)

    # A program that was killed left one file in part, with all its bytes, and the other one with bytes that are wrong.
    parts = [path.with_name(f"{path.name}.part") for path in paths]
    wholes = [path.read_bytes() for path in paths]
    for path, part, content in zip(paths, parts, (wholes[0], b"x" * 10), strict=True):
        path.unlink()
        part.write_bytes(content)
    job = states[0]["id"]
    with pytest.raises(BadAnswer, match="another SHA-256"):
        client.download(job, tmp_path / "a", on_progress=states.append)
    parts[1].write_bytes(wholes[1][:100])
    assert client.download(job, tmp_path / "a", on_progress=states.append) == manifest
    assert [path.read_bytes() for path in paths] == wholes
    assert not any(part.exists() for part in parts)


def test_an_export_of_an_unknown_symbol_is_refused(client: Client, tmp_path: Path):
    with pytest.raises(NotFound):
        client.export("trades", ["NOSUCH"], tmp_path, start="2025-01-02", end="2025-01-03")
    assert list(tmp_path.iterdir()) == []


def export(path: str, *answers: bytes, content: bytes = CONTENT, manifest_id: str = "") -> list[bytes]:
    """What a server says of an export with one file: the job, its manifest, and the file's answers."""
    file = {"path": path, "rows": 1, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = json.dumps({"rows": 1, "files": [file]}).encode()
    identity = manifest_id or hashlib.sha256(manifest).hexdigest()
    job = {"id": "e-1", "state": "succeeded", "result": {"dataset": identity}}
    return [document(job), reply(manifest), *answers]


def downloaded(url: str, folder: Path) -> None:
    async def run() -> None:
        async with AsyncClient(url, "md_x", retries=Retries(first_pause=0.01, attempts=2)) as client:
            await client.download("e-1", folder, on_progress=lambda _: None)

    asyncio.run(run())


def test_a_transfer_that_breaks_goes_on_where_it_broke(scripted, tmp_path: Path):
    size = len(CONTENT)
    cuts = [1000, 1500, 9000]
    answers = [reply(CONTENT[: cuts[0]], Content_Length=size)]
    for start, stop in zip(cuts, [*cuts[1:], size], strict=True):
        said: dict[str, Any] = {
            "Content_Range": f"bytes {start}-{size - 1}/{size}",
            "Content_Length": size - start,
        }
        answers.append(reply(CONTENT[start:stop], 206, **said))
    server = scripted(*export("trades/A B.csv", *answers))
    downloaded(server.url, tmp_path)
    assert (tmp_path / "trades" / "A B.csv").read_bytes() == CONTENT
    asked = [request.lower() for request in server.received[3:]]
    assert [f"range: bytes={start}-\r\n".encode() in each for start, each in zip(cuts, asked, strict=True)]
    assert all(b"/files/trades/a%20b.csv " in each and b"if-range: " in each for each in asked)


def test_another_part_than_asked_for_another_manifest_or_a_path_outside_is_refused(scripted, tmp_path: Path):
    cut = reply(CONTENT[:1000], Content_Length=len(CONTENT))
    wrong = reply(b"x" * 5, 206, Content_Range=f"bytes 5-9/{len(CONTENT)}")
    inside = tmp_path / "inside"
    for answers, why in (
        (export("a.csv", cut, wrong), "not the part"),
        (export("a.csv", reply(CONTENT + b"x")), "too large"),
        (export("a.csv", manifest_id="0" * 64), "manifest has another"),
        *((export(path), "usable path") for path in ("../a.csv", "/a.csv", "a//b", "C:\\a", "")),
    ):
        with pytest.raises(BadAnswer, match=why):
            downloaded(scripted(*answers).url, inside)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.csv.part"]


def signed(body: bytes, *, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(SECRET).sign("evt_1", at, body.decode()),
    }


def test_a_webhooks_call_is_verified():
    body = b'{"type": "job.succeeded", "data": {"id": "a"}}'
    assert verify_webhook(SECRET, signed(body), body)["data"] == {"id": "a"}
    for headers, sent in (
        (signed(body), body + b" "),
        (signed(body, at=datetime.now(UTC) - timedelta(hours=1)), body),
        (signed(body) | {"Webhook-Signature": "v1"}, body),
        (signed(body) | {"Webhook-Signature": "v1,ä"}, body),
        ({}, body),
        (signed(body), b"\xff"),
    ):
        with pytest.raises(BadSignature):
            verify_webhook(SECRET, headers, sent)
