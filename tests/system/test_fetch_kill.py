"""Two years of candles, fetched by a process that is killed again and again: the rows of one that was not."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.backends import store_at
from store.datasets import BARS
from store.protocol import ALL_TIME
from tests.chance import SOAK, chosen_seed
from tests.marketdata_project.serve_process import MANAGE, SETTINGS
from tests.patience import PROGRAM_SECONDS
from tests.sources.exchanges import FakeBinance

pytestmark = pytest.mark.system
KILLS = 10 if SOAK else 3
WINDOW = ("--start", "2024-01-01", "--end", "2026-01-01", "--timeframe", "1h")
HOURS = (366 + 365) * 24
MISSING_HOURS = 3_000


def begun(data_dir: Path, exchange: FakeBinance, *words: str, **environment: str) -> "subprocess.Popen[str]":
    return program(data_dir, *words, SOURCES=json.dumps({"binance": {"url": exchange.url}}), **environment)


def program(data_dir: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    own = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATA_DIR": str(data_dir), "PORT": "0", "LOAD_SAMPLE": "0"}
    own |= {"REDIS_URL": ""}
    return subprocess.Popen(
        [sys.executable, str(MANAGE), *words],
        env={**os.environ, **own, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.soak
def test_a_fetch_of_two_years_that_is_killed_again_and_again_is_whole(tmp_path: Path):
    chance = random.Random(chosen_seed())
    hole = 1_720_000_800_000 // 3_600_000 * 3_600_000
    with FakeBinance() as exchange:
        exchange.missing = {hole + each * 3_600_000 for each in range(MISSING_HOURS)}
        said = begun(tmp_path, exchange, "migrate", "--no-input").communicate(timeout=PROGRAM_SECONDS)[0]
        assert "OK" in said, said
        exchange.delay = 0.1
        for _ in range(KILLS):
            asked = len(exchange.asked("klines"))
            process = begun(tmp_path, exchange, "fetch", "binance", "BTC/USDT", *WINDOW)
            until = time.monotonic() + PROGRAM_SECONDS
            while (
                len(exchange.asked("klines")) == asked and process.poll() is None and time.monotonic() < until
            ):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.35))
            process.kill()
            process.communicate()
        exchange.delay = 0.0
        said = begun(tmp_path, exchange, "fetch", "binance", "BTC/USDT", *WINDOW).communicate(
            timeout=PROGRAM_SECONDS
        )[0]
        assert "new rows" in said, said
        # A kill may lose the page that was on its way: that one is asked again.
        assert len(exchange.asked("klines")) <= HOURS // 1000 + 5 + KILLS
        exchange.calls.clear()
        said = begun(tmp_path, exchange, "fetch", "binance", "BTC/USDT", *WINDOW).communicate(
            timeout=PROGRAM_SECONDS
        )[0]
        assert "everything is known already" in said, said
        assert exchange.asked("klines") == []
        said = begun(tmp_path, exchange, "fetch", "binance", "ETH/USDT", *WINDOW).communicate(
            timeout=PROGRAM_SECONDS
        )[0]
        assert f"{HOURS - MISSING_HOURS:,} new rows" in said, said
        assert exchange.most_asked("klines") == 1
    killed, whole = (
        store_at(tmp_path).log(BARS, symbol).at().rows(ALL_TIME) for symbol in ("BTC-USDT", "ETH-USDT")
    )
    assert killed.equals(whole)
    assert killed.num_rows == HOURS - MISSING_HOURS
