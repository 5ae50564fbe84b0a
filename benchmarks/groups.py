"""One-row batches from eight clients on persistent connections: group commit against a commit for each."""

import json
import os
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.posting import post_together
from benchmarks.processes import run_python
from benchmarks.report import Report
from benchmarks.servers import Server, our_server
from benchmarks.sizes import Sizes
from benchmarks.tape import json_body

CLIENTS = 8
_UNGROUPED = "benchmarks.ungrouped_settings"
_WANTED = "at least 1.5"


def measure_over_http(report: Report, sizes: Sizes) -> None:
    """By eight HTTP clients of one server."""
    with our_server() as grouped, our_server(settings=_UNGROUPED) as ungrouped:
        pairs = [
            (_seconds(grouped, turn, sizes.posts), _seconds(ungrouped, turn, sizes.posts))
            for turn in range(sizes.rounds)
        ]
    _add(report, "one-row batches of eight clients, group commit against none", pairs, sizes.posts)


def measure_in_store(report: Report, sizes: Sizes) -> None:
    """By eight threads, without a server."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        arguments = [str(CLIENTS), str(sizes.posts), str(sizes.rounds)]
        log = Path(folder) / "threads.log"
        printed = run_python("benchmarks.store_threads", *arguments, environment=os.environ, log=log)
    pairs = list(zip(*json.loads(printed), strict=True))
    _add(report, "the same by eight threads in the store alone", pairs, sizes.posts)


def _add(report: Report, name: str, pairs: list[tuple[float, float]], posts: int) -> None:
    report.add(
        name,
        here=CLIENTS * posts / median(grouped for grouped, _ in pairs),
        peer=CLIENTS * posts / median(ungrouped for _, ungrouped in pairs),
        unit="commits/s",
        wanted=_WANTED,
    )


def _seconds(server: Server, turn: int, posts: int) -> float:
    first = turn * CLIENTS * posts
    numbers = [range(first + client, first + CLIENTS * posts, CLIENTS) for client in range(CLIENTS)]
    return post_together(server, [[(json_body(np.array([row])), 1) for row in own] for own in numbers])
