"""A process that writes batches, stopped once after its rows are stored and before their commit. It prints numbers and errors."""

import json
import os
import signal
import sys

from store.clickhouse import ClickHouseStore, servers
from store.clickhouse.catalogue import LockedLog
from store.exceptions import StoreUnavailable
from tests.store.builders import Clock, batch, trade


def main(url: str, batches: int) -> None:
    servers.LEASE_SECONDS = 1
    store = ClickHouseStore(url, clock=Clock())
    commit = LockedLog.commit

    def stop(log: LockedLog) -> None:
        LockedLog.commit = commit  # type: ignore[method-assign]
        os.kill(os.getpid(), signal.SIGSTOP)
        commit(log)

    LockedLog.commit = stop  # type: ignore[method-assign, assignment]
    second = 1
    while second <= batches:
        try:
            said: int | str = store.append(batch(trade(second))).commit.number
            second += 1
        except StoreUnavailable as error:
            said = error.code
        sys.stdout.write(f"{json.dumps(said)}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
