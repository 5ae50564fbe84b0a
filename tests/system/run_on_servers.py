"""Runs pytest over PostgreSQL instead of SQLite; with `--clickhouse`, over a market store in two shards, too.

python -m tests.system.run_on_servers [--clickhouse] ARGUMENTS OF PYTEST
"""

import contextlib
import os
import subprocess
import sys

from tests.system.clickhouse import clickhouse
from tests.system.postgresql import postgresql

# The databases end with their server. Threads of tests leave connections, which with SQLite in memory are none.
_OPTIONS = ["--reuse-db", "-W", "ignore:<store.connections.WatchedConnection:ResourceWarning"]


def main(arguments: list[str]) -> int:
    """Return pytest's exit status."""
    with contextlib.ExitStack() as stack:
        environment = {**os.environ, "DATABASE_URL": stack.enter_context(postgresql())}
        if arguments[:1] == ["--clickhouse"]:
            del arguments[0]
            environment |= {"STORE": "clickhouse", "CLICKHOUSE": stack.enter_context(clickhouse())}
        command = [sys.executable, "-m", "pytest", *_OPTIONS, *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
