"""The README's examples run, one after the other, as one program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import marketdata_client
from marketdata_client import Client
from tests.patience import PROGRAM_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]

FOLDER = Path(marketdata_client.__file__).parents[1]
PROJECT = FOLDER.parents[1]


def test_the_examples_of_the_readme_run(url: str, key: str, tmp_path: Path):
    blocks = re.findall(
        r"^```python\n(.*?)^```", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) > 5
    with Client(url, key) as client:
        row = {
            "timestamp": "2025-01-02T14:31:00Z",
            "symbol": "AAPL",
            "price": 189.9,
            "volume": 5,
            "trade_id": "a",
        }
        client.ingest("trades", [row])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "URL": url, "KEY": key, "PYTHONPATH": f"{FOLDER}:{PROJECT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "history" in done.stdout


@pytest.mark.parametrize(
    ("name", "symbol", "printed"), [("first_frame", "EXAMPLE", "9.5"), ("live_trade", "EXAMPLE", "rows [{")]
)
def test_the_programs_of_the_examples_run(url: str, key: str, name: str, symbol: str, printed: str):
    with Client(url, key) as client:
        row = {
            "timestamp": "2025-01-02T14:31:00Z",
            "symbol": symbol,
            "price": 9.5,
            "volume": 5,
            "trade_id": "a",
        }
        client.ingest("trades", [row])
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / "examples" / f"{name}.py", symbol],
        env={**os.environ, "URL": url, "KEY": key, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
