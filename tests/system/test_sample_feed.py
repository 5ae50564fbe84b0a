"""`make run` keeps the sample alive, unless a setting turns that off."""

import os
import signal
import time
from pathlib import Path

from tests.marketdata_project.front_server import eventually
from tests.marketdata_project.serve_process import Served, serving
from tests.patience import is_kept
from trades.sample import COIN

STOP_SECONDS = 1.0


def commits(served: Served) -> tuple[int, int]:
    """How many commits the coin's trades and quotes have."""
    logs = (served.data_dir / dataset / COIN / "commits.jsonl" for dataset in ("trades", "quotes"))
    trades, quotes = (log.read_bytes().count(b"\n") if log.exists() else 0 for log in logs)
    return trades, quotes


def feed_of(served: Served) -> list[int]:
    return [pid for pid, command in served.members().items() if "sample_feed" in command]


def test_commits_arrive_also_after_its_end_and_a_setting_turns_it_off(tmp_path: Path):
    with serving(tmp_path, LOAD_SAMPLE="1") as served:
        served.says("Sample: a feed goes on with .* SAMPLE_FEED=0 turns it off")
        assert served.port
        assert eventually(lambda: min(commits(served)) >= 3)
        (feed,) = feed_of(served)
        began = time.monotonic()
        os.kill(feed, signal.SIGTERM)
        assert eventually(lambda: feed not in feed_of(served))
        assert is_kept(STOP_SECONDS, [time.monotonic() - began])
        seen = commits(served)
        assert eventually(lambda: min(commits(served)) >= max(seen) + 2)
        assert "POST" not in served.output.read_text()
        served.process.send_signal(signal.SIGTERM)
        assert served.ended()
    with serving(tmp_path, LOAD_SAMPLE="1", SAMPLE_FEED="0") as again:
        assert again.port
        assert feed_of(again) == []
        assert "Sample: a feed" not in again.output.read_text()
        assert "the newest begins with md_" in again.output.read_text()
