"""Processes that ask one installation's limits at the same time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ratelimit.limits.token_bucket import SECOND_US
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).resolve().parents[2]


def asked_at_once(
    *, redis_url: str, database_url: str = "", rate: int, quota: int = 0, seconds: float, count: int = 2
) -> list[dict[str, Any]]:
    """What each of `count` processes was given within the same `seconds`: how many, and when it was first and last told."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "WORKERS": str(count),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.ratelimit.limiter_process", str(rate), str(quota)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * count
        begin = int((time.time() + 0.2) * SECOND_US)
        for process in processes:
            process.stdin.write(f"{begin} {begin + int(seconds * SECOND_US)}\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        return [json.loads(process.communicate(timeout=PROGRAM_SECONDS)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
