"""Uploads: each row stored once, whatever breaks on the way."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CuttingProxy

from marketdata_client import (
    AsyncClient,
    Client,
    ConfirmationNeeded,
    InvalidRequest,
    JobFailed,
    Retries,
    uploads,
)
from tests.system.installation import Installation

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]
ROWS = 200
YES = {"yes": True}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PIECE_BYTES", 2_000)


@pytest.fixture
def proxy(installation: Installation) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(installation.port)
    yield proxy
    proxy.close()


def file_of(folder: Path, symbol: str, name: str = "rows.csv") -> Path:
    path = folder / name
    lines = [f"2025-01-02T14:{n // 60 + 30}:{n % 60:02d}Z,{symbol},5.5,1,{n}\n" for n in range(ROWS)]
    path.write_text("timestamp,symbol,price,volume,trade_id\n" + "".join(lines))
    return path


def counts(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        tuple(each[name] for name in ("symbol", "rows", "stored", "duplicates")) for each in result["symbols"]
    ]


def test_an_upload_goes_on_over_cuts(proxy: CuttingProxy, key: str, tmp_path: Path):
    path, done = file_of(tmp_path, "UPCUT"), []

    def cut(told: dict[str, Any]) -> None:
        done.append(told)
        if len(done) in {2, 3}:
            proxy.cut()

    async def run() -> Any:
        async with AsyncClient(proxy.url, key, retries=Retries(first_pause=0.05)) as client:
            return await client.upload(path, dataset="trades", options=YES, on_progress=cut)

    assert counts(asyncio.run(run())) == [("UPCUT", ROWS, ROWS, 0)]
    sent = [each["progress"]["done"] for each in done if each["state"] == "uploading"]
    assert sent == sorted(sent)
    assert (sent[0], sent[-1]) == (0, path.stat().st_size)


def test_a_program_that_was_killed_goes_on_with_the_id(client: Client, tmp_path: Path):
    path, told = file_of(tmp_path, "UPKILL"), []

    def kill(found: dict[str, Any]) -> None:
        told.append(found)
        if found["progress"]["done"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.upload(path, options=YES, on_progress=kill)
    upload_id = told[0]["id"]
    resumed: list[dict[str, Any]] = []
    result = client.upload(path, upload_id=upload_id, on_progress=resumed.append)
    assert counts(result) == [("UPKILL", ROWS, ROWS, 0)]
    assert resumed[0]["progress"]["done"] == told[-1]["progress"]["done"] > 0
    assert client.upload(path, upload_id=upload_id) == result


def test_what_is_not_certain_is_asked_and_stored_when_it_is_confirmed(client: Client, tmp_path: Path):
    path = file_of(tmp_path, "UPASK")
    with pytest.raises(ConfirmationNeeded) as asked:
        client.upload(path, options={"preview": True}, on_progress=lambda _: None)
    shown = asked.value.preview
    assert (shown["dataset"], shown["first_rows"][0]["symbol"]) == ("trades", "UPASK")
    result = client.confirm(asked.value.job_id, on_progress=lambda _: None)
    assert counts(result) == [("UPASK", ROWS, ROWS, 0)]


def test_what_cannot_be_read_is_said(client: Client, tmp_path: Path):
    with pytest.raises(ValueError, match="format="):
        client.upload(file_of(tmp_path, "UPNONE", "rows.data"))
    with pytest.raises(InvalidRequest) as refused:
        client.upload(file_of(tmp_path, "UPNONE"), options={"nosuch": "x"})
    assert refused.value.errors[0].path == "options"
    broken = tmp_path / "rows.parquet"
    broken.write_bytes(b"PAR1 no parquet")
    with pytest.raises(JobFailed):
        client.upload(broken, on_progress=lambda _: None)
