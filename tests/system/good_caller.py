"""A caller who does nothing wrong, as a program of its own: `python -m tests.system.good_caller PORT SECONDS KEY`.

Reads bars that are held, stores rows, and reads windows that nobody read before, each on a connection of its own, at a
tenth of what the tier `internal` admits in all. Prints, as JSON, the milliseconds of each kind of call and the
answers that were no 200.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.front.front_server import Reply
from tests.system.clients import CUT, Client, trades_body

SYMBOL, DAYS = "GOOD", 20
FIRST = datetime(2025, 1, 2, tzinfo=UTC)
CALLS_A_SECOND = 100
HELD = f"/api/v1/market-data/equities/{SYMBOL}/ohlcv?start=2025-01-03&end=2025-01-04&resolution=5m"
WINDOW = timedelta(minutes=30)


def minutes() -> list[bytes]:
    """Bodies with a row of each minute of the days, a body for each."""
    return [
        trades_body(
            SYMBOL,
            [
                {"timestamp": text(FIRST + timedelta(days=day, minutes=minute)), "price": 100 + minute / 10, "volume": 1}
                for minute in range(1440)
            ],
        )
        for day in range(DAYS)
    ]  # fmt: skip


def text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"


class GoodCaller:
    def __init__(self, port: int, seconds: float, key: str) -> None:
        self._port, self._key = port, key
        self._ends_at = time.monotonic() + seconds
        self.milliseconds: dict[str, list[float]] = {}
        self.refused: list[str] = []

    def run(self) -> None:
        kinds = {"held": self._held, "stored": self._stored, "computed": self._computed}
        self._pause = len(kinds) / CALLS_A_SECOND
        threads = [threading.Thread(target=self._repeat, args=item) for item in kinds.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, kind: str, call: Callable[[Client], Reply]) -> None:
        taken = self.milliseconds[kind] = []
        client, due = Client(self._port, self._key), time.monotonic()
        while due < self._ends_at:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            try:
                status = str(call(client).status)
            except CUT as error:
                client.close()
                status = type(error).__name__
            taken.append((time.perf_counter() - began) * 1000)
            if status != "200":
                self.refused.append(f"{kind} {status}")
            # Who had to wait does not make up for it.
            due = max(due + self._pause, time.monotonic())
        client.close()

    def _held(self, client: Client) -> Reply:
        return client.get(HELD)

    def _stored(self, client: Client) -> Reply:
        row = {"timestamp": text(datetime.now(UTC)), "price": 100, "volume": 1}
        return client.ingest(trades_body("GOODFEED", [row]))

    def _computed(self, client: Client) -> Reply:
        start = FIRST + random.random() * (timedelta(days=DAYS) - WINDOW)
        window = f"start={text(start)}&end={text(start + WINDOW)}&resolution=1m"
        return client.get(f"/api/v1/market-data/equities/{SYMBOL}/ohlcv?{window}")


def main(port: str, seconds: str, key: str) -> None:
    caller = GoodCaller(int(port), float(seconds), key)
    caller.run()
    sys.stdout.write(json.dumps({"milliseconds": caller.milliseconds, "refused": caller.refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
