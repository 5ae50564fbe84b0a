"""A whole installation as a subject of tests: its first key, further keys, its audit records, its store."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import orjson
import redis

from ratelimit.access.scopes import SCOPES
from ratelimit.keys.api_keys import generate
from store.csv.store import CsvStore
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import Served, serving
from tests.migrated_database import place_database
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import clients_of_every_web

WORKERS = 2
UNLIMITED = 1_000_000
ENVIRONMENT = {
    "WORKERS": str(WORKERS),
    "REDIS_URL": "",
    # All tests call from one address, and many of them with credentials that are none.
    "ADDRESS_RATE": str(UNLIMITED),
    "LOGIN_RATE": str(UNLIMITED),
    "LOGIN_FREE_FAILURES": str(UNLIMITED),
    # Traders sell the invented coins short.
    "TRADING_TERMS": '{"crypto": {"shortable": true}}',
    # Modules are compiled once, and not in each process.
    "PYTHONDONTWRITEBYTECODE": "",
}
# Two processes less to start, for tests that neither trade nor run jobs.
WEB_ONLY: dict[str, Any] = {"TRADING_ENGINE": "0", "JOB_THREADS": "0"}


def switched(**switches: str) -> dict[str, Any]:
    """The environment of a server with switches of `tests.system.settings`, named without `TEST_`."""
    names = {f"TEST_{name.upper()}": value for name, value in switches.items()}
    return {"DJANGO_SETTINGS_MODULE": "tests.system.settings", **names}


MORE_JOBS = switched(app="tests.system.more_jobs.MoreJobs")
SHORT_FEED = switched(app="tests.system.short_feed.ShortFeed")
FAILING_PAGE = switched(urls="tests.hostile.failing_views", cheap_calls="1")
READY = (200, {"status": "ready"})


@dataclass
class Installation:
    served: Served
    key: str
    """Of the tier `internal`, with every scope."""
    _answering: set[int] = field(default_factory=set)
    _is_lost: bool = False

    @property
    def port(self) -> int:
        return self.served.port

    @property
    def store(self) -> CsvStore:
        """A store of this process over the installation's folder, without anything in memory."""
        return CsvStore(self.served.data_dir)

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.served.data_dir / "run" / "redis.sock"))

    def is_ready(self) -> bool:
        return eventually(lambda: self._answer("/readyz") == READY)

    def is_healthy(self) -> bool:
        """Whether a web process answers, in the end."""
        return eventually(lambda: self._answer("/healthz")[0] == 200)

    def _answer(self, path: str) -> tuple[int, dict[str, object]]:
        """An answer; 0 and nothing from a process that is killed before it."""
        try:
            return self.served.get(path)
        except (OSError, HTTPException):
            return 0, {}

    def is_complete(self) -> bool:
        """Whether everything runs, in the end: each web process answers, and not only one that says so.

        The first test that waited in vain is the last that waits: else all tests after it take two minutes each.
        """
        self._is_lost = self._is_lost or not (
            eventually(lambda: len(self.webs()) == WORKERS)
            and eventually(self._all_answer)
            and self.is_ready()
        )
        return not self._is_lost

    def state(self) -> str:
        """What is known of an installation that is not complete, for the report of a test."""
        processes, output = self.served.members(), self.served.output.read_text()[-5_000:]
        return f"{processes}\nreadyz: {self._answer('/readyz')}\n{output}"

    def _all_answer(self) -> bool:
        webs = set(self.webs())
        if not webs <= self._answering:
            # A process that is killed just then cuts its connections.
            with (
                contextlib.suppress(OSError, HTTPException),
                clients_of_every_web(self.served, None, each=1) as clients,
            ):
                self._answering = {client.process for client in clients if client.process is not None}
        return webs <= self._answering

    def webs(self) -> list[int]:
        return self.served.webs()

    def new_key(self, **columns: Any) -> str:
        """A further key, put into the database as `manage.py apikey create` would; `columns` are those of `key_row`."""
        return self.new_keys([columns])[0]

    def new_keys(self, several: Iterable[dict[str, Any]]) -> list[str]:
        """Further keys, as `new_key` makes each of them, all at once."""
        made = [key_row(**columns) for columns in several]
        self.insert("ratelimit_apikey", [row for _, row in made])
        return [key for key, _ in made]

    def revoke(self, key: str) -> None:
        """Revoke a key in the database, as another process does."""
        with self._database() as database:
            columns = (datetime.now(UTC).isoformat(sep=" ").removesuffix("+00:00"), key.split("_")[1])
            database.execute("UPDATE ratelimit_apikey SET revoked_at = ? WHERE prefix = ?", columns)
            database.commit()

    def insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Put rows into a table of the database."""
        with self._database() as database:
            for row in rows:
                names, places = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
                database.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))
            database.commit()

    def audited(self, prefix: str) -> list[sqlite3.Row]:
        """The audit records of calls whose correlation id begins with `prefix`, in order of arrival."""
        with self._database() as database:
            database.row_factory = sqlite3.Row
            return database.execute(
                "SELECT * FROM audit_auditrecord WHERE correlation_id LIKE ? || '%' AND caller <> 'engine' ORDER BY sequence",
                [prefix],
            ).fetchall()

    def kill(self, pid: int) -> None:
        """SIGKILL to a process, and wait until it has gone: whoever looks at the processes next does not meet it."""
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: pid not in self.served.members())

    def kill_everything(self, pids: list[int]) -> None:
        """SIGKILL to the supervisor and these processes, without a look around in between."""
        for pid in [self.served.process.pid, *pids]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.served.process.wait()

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.served.data_dir / "marketdata.sqlite3", timeout=PATIENCE_SECONDS)
        try:
            yield connection
        finally:
            connection.close()


def key_row(
    *,
    tier: str = "default",
    rate: int | None = None,
    scopes: tuple[str, ...] = SCOPES,
    expires_in: timedelta | None = None,
    revoked: bool = False,
    **columns: object,
) -> tuple[str, dict[str, Any]]:
    """A new key and its row in the database; `columns` are further ones of it."""
    new, now = generate(), datetime.now(UTC)
    return new.key, {
        "name": "system test",
        "owner": "",
        "prefix": new.prefix,
        "digest": new.digest,
        "tier": tier,
        "rate": rate,
        "scopes": orjson.dumps(scopes).decode(),
        "created_at": _stored(now),
        "expires_at": None if expires_in is None else _stored(now + expires_in),
        "revoked_at": _stored(now) if revoked else None,
        "accounts": "[]",
        "sensitivity": "confidential",
        "networks": "[]",
        "signed_only": False,
        "before_expiry": "warn",
        **columns,
    }


@contextlib.contextmanager
def installed(folder: Path, *, data_dir: Path | None = None, **environment: str) -> Iterator[Installation]:
    """A new installation in an empty folder, with two web processes; ready.

    Its database is migrated already. It is ended at the end, restarted or not.
    """
    if "DATABASE_URL" not in environment:
        place_database(data_dir or folder / "data")
    with serving(folder, data_dir=data_dir, **{**ENVIRONMENT, **environment}) as served:
        assert served.port
        said = served.says(r"API key(?: \(shown once\): (md_\w+)|: none yet)")
        installation = Installation(served, said[1] or "")
        # Production makes no key.
        installation.key = installation.key or installation.new_key(tier="internal", accounts='["*"]')
        try:
            assert installation.is_ready(), served.output.read_text()
            yield installation
        finally:
            installation.served.kill()


def _stored(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f")
