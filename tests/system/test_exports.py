"""Exports that are killed at random moments end with the same bytes, whatever was stored meanwhile."""

import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from django.conf import settings

from store.csv.store import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.timestamps import DAY_NS, parse_timestamp
from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import SETTINGS
from tests.patience import PROGRAM_SECONDS
from tests.system.clients import connected
from tests.system.installation import MORE_JOBS, installed

FIRST_NS = parse_timestamp("2024-01-01T00:00:00Z")
SYMBOLS = ("AAA", "BBB")
DATES = 40
ROWS = 5_000
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
KILLS, COMMITS = (20, 1_000) if SOAK else (1, 20)
A_DAY_LATER = {"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME": "+1d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def rows(times_ns: Any) -> pa.RecordBatch:
    """Trades at these instants; price and volume follow from them."""
    values = {"timestamp": times_ns, "price": 100 + times_ns % 977 / 4, "volume": 1.0 + times_ns % 9}
    columns = [
        pa.array(values[each.name], each.type) if each.name in values else pa.nulls(len(times_ns), each.type)
        for each in TRADES.schema
    ]
    return pa.record_batch(columns, schema=TRADES.schema)


def store_trades(store: CsvStore) -> None:
    chance = np.random.default_rng(chosen_seed())
    for symbol in SYMBOLS:
        times = FIRST_NS + np.sort(chance.integers(0, DATES * DAY_NS, DATES * ROWS))
        store.append(Append(TRADES, symbol, rows(times), "tests", Dedupe.NONE))


def store_late_trades(store: CsvStore, count: int) -> None:
    for number in range(count):
        late = rows(np.array([FIRST_NS + number * DAY_NS % (DATES * DAY_NS) + 7]))
        store.append(Append(TRADES, SYMBOLS[number % 2], late, "tests", Dedupe.NONE))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".export" not in path.parts
    }


def changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def exporting(
    data_dir: Path, out: Path, as_of: str, form: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A `manage.py export` that has begun to write, or has ended."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "export", "trades", ",".join(SYMBOLS)]
    started_ns = time.time_ns()
    process = subprocess.Popen(
        [*command, "--as-of", as_of, "--format", form, "--out", str(out)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "DATA_DIR": str(data_dir), **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        writes = out / ".export" / "unfinished"
        assert eventually(
            lambda: changed_ns(writes) > started_ns or process.poll() is not None, seconds=PROGRAM_SECONDS
        )
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("form", ["parquet", pytest.param("csv", marks=pytest.mark.soak)])
def test_an_export_that_is_killed_again_and_again_has_the_same_bytes(tmp_path: Path, form: str) -> None:
    data_dir = tmp_path / "data"
    store = CsvStore(data_dir)
    store_trades(store)
    as_of = str(time.time_ns())

    def export(out: Path, **environment: str) -> float:
        """Export without a kill; return for how many seconds files were written."""
        with exporting(data_dir, out, as_of, form, **environment) as process:
            began = time.monotonic()
            assert process.wait(PROGRAM_SECONDS) == 0
            return time.monotonic() - began

    seconds = export(tmp_path / "0")
    alone = contents(tmp_path / "0")
    assert len(alone) == (1 + len(SYMBOLS) * DATES if form == "parquet" else 1 + len(SYMBOLS))
    chance, killed, ended = random.Random(chosen_seed()), 0, 0
    out = tmp_path / "killed-0"
    while killed < KILLS:
        with exporting(data_dir, out, as_of, form) as process:
            try:
                assert process.wait(chance.uniform(0, seconds)) == 0
            except subprocess.TimeoutExpired:
                killed += 1
        store_late_trades(store, COMMITS // KILLS)
        if not (out / ".export" / "parameters.json").exists():
            ended += 1
            assert contents(out) == alone
            out = tmp_path / f"killed-{ended}"
    export(out)
    assert contents(out) == alone
    if LIBFAKETIME.exists() and (SOAK or form == "parquet"):
        export(tmp_path / "later", **A_DAY_LATER)
        assert contents(tmp_path / "later") == alone


@pytest.mark.soak
def test_a_job_survives_its_worker(tmp_path: Path) -> None:
    environment = {"TRADING_ENGINE": "0", **MORE_JOBS}
    with (
        installed(tmp_path, data_dir=None, **environment) as installation,
        connected(installation.port, installation.key) as client,
    ):
        store_trades(installation.store)
        body = {"dataset": "trades", "symbols": [*SYMBOLS], "format": "parquet"}

        def ended(path: str) -> dict[str, Any]:
            shown: dict[str, Any] = client.call("GET", f"/api/v1{path}").json()
            return shown if shown["state"] in {"succeeded", "failed"} else {}

        def submitted() -> str:
            headers = {"Content-Type": "application/json"}
            answer = client.call("POST", "/api/v1/exports", orjson.dumps(body), headers)
            assert answer.status == 202, answer.body
            return f"/exports/{answer.json()['id']}"

        alone = submitted()
        assert eventually(lambda: ended(alone), seconds=PROGRAM_SECONDS)
        body["as_of"] = ended(alone)["parameters"]["as_of"]
        store_late_trades(installation.store, COMMITS)
        killed = submitted()
        folder = installation.served.data_dir / "exports" / killed.rpartition("/")[2]
        assert eventually((folder / "work" / "files.jsonl").exists, seconds=PROGRAM_SECONDS)
        installation.kill(installation.served.member("marketdata jobs"))
        assert eventually(lambda: ended(killed), seconds=2 * PROGRAM_SECONDS)
        first, second = ended(alone), ended(killed)
        assert (second["state"], second["result"]) == ("succeeded", first["result"])
        assert second["attempts"] == 2
        file = second["files"][0]
        whole = client.call("GET", file["link"])
        assert hashlib.sha256(whole.body).hexdigest() == file["sha256"]
        part = client.call("GET", file["link"], headers={"Range": "bytes=100-299", "Accept-Encoding": "gzip"})
        assert (part.status, part.body) == (206, whole.body[100:300])
