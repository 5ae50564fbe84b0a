"""Another process with a response cache: one JSON command per line in, one JSON answer per line out.

A computation appends one byte to `computations` in the run folder, then waits while `hold` exists there.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.conf import settings

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Query:
    key: str
    cache_end_ns: int | None = None
    cache_coarse: bool = False

    @property
    def cache_key(self) -> str:
        return self.key


def configure() -> None:
    """The project's own cache, at REDIS_URL, without the rest of the project."""
    from marketdata_project.settings import base  # noqa: PLC0415 needs the path
    from tests.patience import PATIENCE_SECONDS  # noqa: PLC0415
    from tests.ratelimit.redis_server import patience_of  # noqa: PLC0415

    cache: dict[str, Any] = base.CACHES["default"]
    cache["OPTIONS"] |= patience_of(PATIENCE_SECONDS)
    settings.configure(CACHES=base.CACHES, RUN_DIR=Path(sys.argv[1]))
    django.setup()


def serve() -> None:
    from metrics.process_files import Publisher  # noqa: PLC0415 after the path
    from stats.caching.decorator import cached  # noqa: PLC0415 after the settings
    from stats.caching.entry import Entry  # noqa: PLC0415
    from stats.caching.tiers import process_tiers  # noqa: PLC0415

    run_dir, name = Path(sys.argv[1]), sys.argv[2]
    publisher = Publisher(run_dir / "metrics", name)
    publisher.start()

    @cached()
    def answer(query: Query, now_ns: int) -> Entry:
        with (run_dir / "computations").open("ab") as log:
            log.write(b".")
        while (run_dir / "hold").exists():
            time.sleep(0.002)
        return Entry(body=b"x" * 100, content_type="text/plain", etag='"e"', computed_at=now_ns / 10**9)

    def get(key: str) -> Any:
        found = answer(Query(key), now_ns=time.time_ns())
        return {"outcome": found.outcome, "body": found.entry.body.decode()}

    commands: dict[str, Callable[..., Any]] = {
        "get": get,
        "publish": publisher.publish,
        "statistics": process_tiers().statistics.snapshot,
    }
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(commands[request.pop("command")](**request)), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    configure()
    serve()
