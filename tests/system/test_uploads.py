"""A file that is sent to real processes: cut, resumed, imported while workers are killed; memory stays flat."""

import contextlib
import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.generated_trades import CSV_HEADER, csv_text
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, is_kept
from tests.system.installation import MORE_JOBS, Installation, installed
from tests.system.streaming import Webs

pytestmark = [pytest.mark.system, pytest.mark.seconds]

# 2 GiB in a soak.
ROWS = 55_000_000 if SOAK else 400_000
ROWS_AT_ONCE = 500_000
CUTS = 10
PIECE = 2**18
GROWN_MIB = 64
SECONDS = 20 * PROGRAM_SECONDS if SOAK else PROGRAM_SECONDS


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    environment = {"TRADING_ENGINE": "0", **MORE_JOBS}
    with installed(tmp_path, data_dir=None, **environment) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of trades of one symbol."""
    import numpy as np  # noqa: PLC0415 the system tests of other modules do without

    path = tmp_path / "trades.csv"
    with path.open("wb") as target:
        target.write(CSV_HEADER)
        for first in range(0, ROWS, ROWS_AT_ONCE):
            target.write(csv_text(np.arange(first, min(ROWS, first + ROWS_AT_ONCE))))
    return path


class Sender:
    """Sends a file to an installation."""

    def __init__(self, installation: Installation, file: Path) -> None:
        self._installation, self._file, self.size = installation, file, file.stat().st_size
        digest = hashlib.sha256()
        with file.open("rb") as content:
            while data := content.read(2**20):
                digest.update(data)
        file_terms = {"format": "csv", "size": self.size, "sha256": digest.hexdigest()}
        terms = {**file_terms, "symbol": "BENCH", "options": {"yes": True}}
        self.path = "/api/v1/ingest/batch"
        status, begun = self.call("POST", self.path, orjson.dumps(terms))
        assert status == 202, begun
        self.path += f"/{begun['id']}"
        self.job_path = f"/api/v1/jobs/{begun['id']}"

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self._installation.port, timeout=PATIENCE_SECONDS)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(
                method,
                path,
                body,
                {"X-API-Key": self._installation.key, "Content-Type": "application/json", **named},
            )
            response = connection.getresponse()
            return response.status, orjson.loads(response.read())
        finally:
            connection.close()

    def offset(self) -> int:
        return int(self.call("GET", self.path)[1]["offset"])

    def send(self, *, upto: int) -> int:
        """Send the file from where it goes on up to a byte, and cut the connection unless that is the end. Return the status."""
        offset = self.offset()
        connection = HTTPConnection("127.0.0.1", self._installation.port, timeout=PATIENCE_SECONDS)
        connection.putrequest("PATCH", self.path)
        for name, value in (
            ("X-API-Key", self._installation.key),
            ("Upload-Offset", offset),
            ("Content-Length", self.size - offset),
        ):
            connection.putheader(name, str(value))
        connection.endheaders()
        with self._file.open("rb") as content:
            content.seek(offset)
            with contextlib.suppress(OSError):  # a refusal comes before the end
                while content.tell() < upto:
                    connection.send(content.read(min(PIECE, upto - content.tell())))
        status = connection.getresponse().status if upto == self.size else 0
        connection.close()
        return status

    def job(self) -> dict[str, Any]:
        return self.call("GET", self.job_path)[1]


def test_an_upload_is_cut_and_its_worker_killed_and_each_row_is_stored_once(
    installation: Installation, file: Path, told: Told
):
    chance, sender, gauge = random.Random(chosen_seed()), Sender(installation, file), Webs(installation).gauge
    zipped = sender.call("PATCH", sender.path, b"x" * 2**20, Upload_Offset="0", Content_Encoding="gzip")
    assert (zipped[0], sender.offset()) == (415, 0)
    before, most, began = gauge.anonymous_mib(), 0.0, time.monotonic()
    for upto in sorted(chance.randrange(sender.size) for _ in range(CUTS)):
        if upto > sender.offset():
            sender.send(upto=upto)
            most = max(most, gauge.anonymous_mib() - before)
    # What was on its way when the connection was cut may still be written: the upload is busy then.
    assert eventually(lambda: sender.send(upto=sender.size) == 200)
    most = max(most, gauge.anonymous_mib() - before)
    seconds = time.monotonic() - began
    assert eventually(lambda: sender.job()["state"] == "running", seconds=SECONDS)
    time.sleep(chance.uniform(0, 1))
    os.kill(installation.served.member("marketdata jobs"), signal.SIGKILL)
    assert eventually(lambda: sender.job()["state"] in {"succeeded", "failed"}, seconds=SECONDS)
    job = sender.job()
    assert job["state"] == "succeeded", job
    [item] = job["result"]["symbols"]
    assert (item["rows"], item["stored"] + item["duplicates"]) == (ROWS, ROWS)
    log = installation.store.log(TRADES, "BENCH")
    assert log.at().versions(ALL_TIME, columns=("timestamp",)).num_rows == ROWS
    assert eventually(lambda: not list((installation.served.data_dir / "uploads").iterdir()))
    told(
        f"48 upload of {sender.size / 2**20:,.0f} MiB, cut {CUTS} times",
        f"{sender.size / 2**20 / seconds:,.0f} MiB/s, memory + {most:.0f} MiB, attempts {job['attempts']}",
    )
    assert is_kept(GROWN_MIB, most)
