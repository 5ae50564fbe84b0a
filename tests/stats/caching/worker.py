"""Another process with a response cache: one JSON command per line in, one JSON answer per line out."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from django.conf import settings

ROOT = Path(__file__).resolve().parents[3]


def configure() -> None:
    """The project's own cache, at REDIS_URL, without the rest of the project."""
    from marketdata_project.settings import base  # noqa: PLC0415 needs the path
    from tests.patience import PATIENCE_SECONDS  # noqa: PLC0415
    from tests.ratelimit.redis_server import patience_of  # noqa: PLC0415

    cache: dict[str, Any] = base.CACHES["default"]
    cache["OPTIONS"] |= patience_of(PATIENCE_SECONDS)
    settings.configure(
        CACHES=base.CACHES,
        RUN_DIR=Path(sys.argv[1]),
        ANSWERS_MEMORY_MIB=base.ANSWERS_MEMORY_MIB,
        SECRET_KEY="for-tests-only",  # that of the tests
    )
    django.setup()


def serve() -> None:
    from ops.metrics.process_files import Publisher  # noqa: PLC0415 after the path
    from stats.caching.response_cache import RESPONSE_CACHE, cache_statistics  # noqa: PLC0415 after the settings
    from stats.caching.shared import Entry  # noqa: PLC0415

    run_dir, name = Path(sys.argv[1]), sys.argv[2]
    publisher = Publisher(run_dir / "metrics", name)
    publisher.start()

    def get(key: str) -> Any:
        entry = Entry(body=b"x" * 100, content_type="text/plain", etag='"e"', computed_at=time.time())
        entry, outcome = RESPONSE_CACHE.fetch(key, lambda: entry, seconds=30)
        return {"outcome": outcome, "body": entry.body.decode()}

    commands: dict[str, Callable[..., Any]] = {
        "get": get,
        "publish": publisher.publish,
        "statistics": cache_statistics,
    }
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(commands[request.pop("command")](**request)), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    configure()
    serve()
