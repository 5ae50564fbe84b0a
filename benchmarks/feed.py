"""A feed of many symbols from a fake exchange, to which ccxt talks as to a real one."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import (
    line_with,
    memory_of_process,
    processor_seconds,
    run_python,
    running,
)
from benchmarks.report import Goal, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import installation_environment
from store.backends import store_at
from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.timestamps import SECOND_NS
from tests.sources.live_binance import LiveBinance, Printing

_A_SECOND = 40.0
_STORED_SECONDS, _WARM_SECONDS, _ROUND_SECONDS = 60.0, 10.0, 4.0


def measure_feed(sizes: Sizes) -> Iterator[Row]:
    """Yield how far the feed is behind, its memory and its processor time. Each symbol has 40 trades a second."""
    bases = [f"C{number:02}" for number in range(sizes.symbols // 4)]
    rate, rounds = _A_SECOND * len(bases), 2 * sizes.live_seconds
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, LiveBinance(tuple(bases)) as exchange:
        data, log = Path(folder) / "data", Path(folder) / "log"
        sources = json.dumps({"binance": {"url": exchange.url}})
        environment = installation_environment(data) | {"SOURCES": sources}
        run_python("django", "migrate", "--no-input", environment=environment, log=log)
        names = [f"{base}/USDT" for base in bases]
        command = [sys.executable, "manage.py", "feed", "binance", *names]
        with running(command, environment=environment, log=log) as process:
            for _ in names:
                line_with(process, ": live", log=log)
            with Printing(exchange, rate, *exchange.sent):
                time.sleep(_WARM_SECONDS)
                used, began = processor_seconds([process.pid]), time.monotonic()
                behind = [_seconds_behind(data, bases, turn) for turn in range(rounds)]
                cores = (processor_seconds([process.pid]) - used) / (time.monotonic() - began)
            memory = memory_of_process("RssAnon", process.pid) / 2**20
            sent, until = sum(map(len, exchange.sent.values())), time.monotonic() + _STORED_SECONDS
            while (stored := sum(_stored(data, base) for base in bases)) != sent:
                if time.monotonic() > until:
                    raise UnexpectedAnswer(f"{sent:,} trades were sent, {stored:,} are stored")
                time.sleep(1)
    what = f"a feed of {len(bases)} symbols, {rate:,.0f} trades/s"
    yield Ratio(
        f"{what}: newest stored trade, its age at most", max(behind), None, "s", Goal(most=2, unit="s")
    )
    yield Ratio(f"{what}: own memory", memory, None, "MiB", Goal(most=230, unit="MiB"))
    yield Ratio(f"{what}: processor time", cores, None, "cores", Goal(most=0.75, unit="cores"))


def _seconds_behind(data: Path, bases: list[str], turn: int) -> float:
    """Wait for some seconds; return the age of the newest stored trade of a symbol, another one in each turn."""
    time.sleep(_ROUND_SECONDS)
    log = store_at(data).log(TRADES, f"{bases[turn * 5 % len(bases)]}-USDT").at()
    return (time.time_ns() - log.completeness().newest_ns) / SECOND_NS


def _stored(data: Path, base: str) -> int:
    return store_at(data).log(TRADES, f"{base}-USDT").at().rows(ALL_TIME).num_rows
