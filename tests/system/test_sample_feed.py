"""`make run` keeps the sample alive. That a setting turns it off is seen in `tests/browser/test_login.py`."""

import os
import signal

import pytest

from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import Served
from tests.patience import PROGRAM_SECONDS
from tests.system.installation import Installation
from trades.sample import COIN


def commits(served: Served) -> tuple[int, int]:
    """How many commits the coin's trades and quotes have."""
    logs = (served.data_dir / dataset / COIN / "commits.jsonl" for dataset in ("trades", "quotes"))
    trades, quotes = (log.read_bytes().count(b"\n") if log.exists() else 0 for log in logs)
    return trades, quotes


def feed_of(served: Served) -> list[int]:
    return [pid for pid, command in served.members().items() if "sample feed" in command]


def is_stored(served: Served, count: int) -> bool:
    """Whether the coin's logs come to have so many commits each. The feed yields to all else: on a busy machine it is slow."""
    return eventually(lambda: min(commits(served)) >= count, seconds=PROGRAM_SECONDS)


@pytest.mark.xdist_group("sample")
def test_commits_arrive_also_after_its_end(sampled: Installation):
    served = sampled.served
    served.says("New trades come while the server runs; SAMPLE_FEED=0 leaves them out")
    assert is_stored(served, 3), served.output.read_text()
    (feed,) = feed_of(served)
    os.kill(feed, signal.SIGTERM)
    assert eventually(lambda: feed not in feed_of(served))
    seen = commits(served)
    assert is_stored(served, max(seen) + 2), served.output.read_text()
    assert "are not stored" not in served.output.read_text()
