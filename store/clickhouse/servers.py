"""Connections to the two servers: PostgreSQL has the commits, ClickHouse the rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_driver
import psycopg
from clickhouse_driver.errors import Error as ClickHouseError
from clickhouse_driver.errors import ServerException
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from store.connections import CONNECT_SECONDS, Pool, WatchedConnection
from store.exceptions import StoreBusy, StoreUnavailable
from store.server_calls import WATCHER

_logger = logging.getLogger(__name__)
LOCK_SECONDS = 3
ANSWER_SECONDS = 5
"""For an answer of PostgreSQL, and for the next packet of ClickHouse, which tells ten times a second how far it is."""
LEASE_SECONDS = 20
"""A writer that leaves PostgreSQL waiting for longer loses its transaction, and with it the log's lock."""
DEFAULT_PORT = 9000
# Codes of ClickHouse's errors.
_COLUMN_EXISTS = {15, 44}
_NO_COLUMN = 47
_SETTINGS = {
    "use_numpy": True,
    # Without it rows are acknowledged before they are on their shard.
    "insert_distributed_sync": 1,
    "insert_distributed_timeout": ANSWER_SECONDS,
    # A server has 50 ms by default to connect to another one.
    "connect_timeout_with_failover_ms": CONNECT_SECONDS * 1_000,
    "max_query_size": 2**26,
    "max_ast_elements": 2**24,
    "max_expanded_ast_elements": 2**24,
}


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """The parts of a store's URL, `clickhouse://user:password@host:port,host:port/database?cluster=market&postgres=URL`.

    hosts: one of each shard, with the port. database: of ClickHouse; PostgreSQL's schema has the same name. cluster: the name
    of the shards in ClickHouse's configuration. postgres: the URL of the database with the commits; if it is empty, libpq's
    environment variables apply. login: the user and the password of ClickHouse.
    """

    hosts: tuple[tuple[str, int], ...]
    database: str
    cluster: str
    postgres: str
    login: tuple[str, str] = ("default", "")

    @classmethod
    def parsed(cls, url: str, postgres: str = "") -> StoreUrl:
        """Return the parts of a URL. Raises `ValueError`, without the URL in it, which may have passwords."""
        parts = urlsplit(url)
        options, database = dict(parse_qsl(parts.query)), unquote(parts.path.removeprefix("/"))
        cluster = options.pop("cluster", "market")
        postgres = options.pop("postgres", postgres)
        names = f"{database}{cluster}"
        named, _, places = parts.netloc.rpartition("@")
        hosts = tuple(_host(each) for each in places.split(",") if each)
        if not hosts or not database or not names.replace("_", "").isalnum() or options or parts.fragment:
            raise ValueError(
                "this is not the URL of a store, such as clickhouse://host:9000,host:9000/database: names have letters, digits"
                " and _, options are cluster and postgres"
            )
        try:
            conninfo_to_dict(postgres)
        except psycopg.ProgrammingError:
            raise ValueError("postgres= is not the URL of a database") from None
        user, _, password = map(unquote, (named or "default").partition(":"))
        return cls(hosts, database, cluster, postgres, (user, password))


def _host(text: str) -> tuple[str, int]:
    name, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdecimal()):
        raise ValueError("the port of a host of a store is not a number")
    return name, int(port or DEFAULT_PORT)


class PostgreSql:
    """The database with the commits. Methods raise `StoreUnavailable`, `StoreBusy`."""

    def __init__(self, url: StoreUrl, tables: LiteralString) -> None:
        """Create it. tables: statements that make the tables unless they exist."""
        self._url = url
        self.schema = url.database
        self._tables = tables
        self._pool = Pool(self.connect, WatchedConnection.close, WatchedConnection.is_open)
        self.close = self._pool.close
        self._is_made = False

    def connect(self) -> WatchedConnection:
        """Return a new connection, whose statements commit by themselves."""
        connection = WatchedConnection.connect(
            self._url.postgres, autocommit=True, connect_timeout=CONNECT_SECONDS
        )
        schema = sql.Identifier(self.schema)
        if not self._is_made:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('market store'))")
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
                connection.execute(sql.SQL("SET search_path TO {}").format(schema))
                connection.execute(self._tables)
            self._is_made = True
        connection.execute(
            f"SET search_path TO \"{self.schema}\"; SET lock_timeout = '{LOCK_SECONDS}s';"
            f" SET statement_timeout = '{ANSWER_SECONDS}s';"
            f" SET idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'"
        )
        return connection

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the server answers."""
        self.rows("SELECT 1")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Yield a connection."""
        try:
            with WATCHER.span("postgresql", "client"), self._pool.connection() as connection:
                yield connection
        except psycopg.errors.LockNotAvailable as error:
            raise StoreBusy("another process holds the log's lock: retry") from error
        except psycopg.errors.IdleInTransactionSessionTimeout as error:
            raise StoreBusy(
                f"nothing was stored, because it took more than {LEASE_SECONDS} s: retry"
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            _logger.warning("PostgreSQL, which has the commits, does not answer: %s", error)
            raise StoreUnavailable("PostgreSQL, which has the commits, does not answer") from error


class ColumnMissing(StoreUnavailable):
    """A table of rows lacks a column, because an earlier version made it. Retry: whoever writes adds the column."""


class ClickHouse:
    """The servers with the rows. Methods raise `StoreUnavailable`."""

    def __init__(self, url: StoreUrl) -> None:
        self._url = url
        self._pool = Pool(lambda: self._client(url.hosts), lambda client: client.disconnect(), lambda _: True)
        self.close = self._pool.close

    def check(self) -> None:
        """Raise `StoreUnavailable` unless every shard answers."""
        self.columns(f"SELECT count() FROM cluster('{self._url.cluster}', system, one)")  # noqa: S608

    def columns(self, query: str, settings: dict[str, int] | None = None) -> list[Any]:
        """Return the columns of a query's result as numpy arrays; an empty list if there are no rows."""
        with self._asked() as client:
            return list(client.execute(query, columnar=True, settings=settings, query_id=_query_id()))

    def insert(self, table: str, columns: dict[str, Any]) -> None:
        """Insert rows, and wait until they are on their shards. columns: numpy arrays by name."""
        names = ", ".join(columns)
        with self._asked() as client:
            client.execute(
                f"INSERT INTO {table} ({names}) VALUES",
                [*columns.values()],
                columnar=True,
                query_id=_query_id(),
            )

    def run_everywhere(self, statements: Sequence[str]) -> None:
        """Run statements on a host of each shard."""

        def run(client: clickhouse_driver.Client) -> None:
            for statement in statements:
                client.execute(statement)

        self._on_each_host(run)

    def add_columns(self, table: str, types: Mapping[str, str]) -> None:
        """Add the columns that a table lacks on a host of each shard. types: by the names of columns."""

        def add(client: clickhouse_driver.Client) -> None:
            known = {name for name, *_ in client.execute(f"DESCRIBE TABLE {table}")}
            for name in types.keys() - known:
                try:
                    client.execute(f"ALTER TABLE {table} ADD COLUMN {name} {types[name]}")
                except ServerException as error:
                    if error.code not in _COLUMN_EXISTS:  # another process has added it
                        raise

        self._on_each_host(add)

    def _on_each_host(self, run: Callable[[clickhouse_driver.Client], None]) -> None:
        for host in self._url.hosts:
            with _named_errors(self._url):
                client = self._client([host])
                try:
                    run(client)
                finally:
                    client.disconnect()

    @contextmanager
    def _asked(self) -> Iterator[clickhouse_driver.Client]:
        with (
            WATCHER.span("clickhouse", "client"),
            _named_errors(self._url),
            self._pool.connection() as client,
        ):
            yield client

    def _client(self, hosts: Sequence[tuple[str, int]]) -> clickhouse_driver.Client:
        (name, port), *others = hosts
        client = clickhouse_driver.Client(
            name,
            port,
            user=self._url.login[0],
            password=self._url.login[1],
            alt_hosts=",".join(f"{other}:{port}" for other, port in others) or None,
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            sync_request_timeout=CONNECT_SECONDS,
            settings=_SETTINGS,
        )
        connection, receive_hello = client.connection, client.connection.receive_hello

        def hello() -> None:
            with connection.timeout_setter(CONNECT_SECONDS):
                receive_hello()

        # The kernel of a server that is stopped accepts connections.
        connection.receive_hello = hello
        return client


def _query_id() -> str | None:
    """Return the correlation id with a number of its own, as ClickHouse's log of queries shows it; None without an id."""
    own = WATCHER.correlation_id()
    return f"{own}-{os.urandom(4).hex()}" if own else None


@contextmanager
def _named_errors(url: StoreUrl) -> Iterator[None]:
    try:
        yield
    except (ClickHouseError, OSError, EOFError) as error:
        code = error.code if isinstance(error, ServerException) else None
        if code == _NO_COLUMN:
            raise ColumnMissing("a table lacks a column") from error
        hosts = ", ".join(f"{name}:{port}" for name, port in url.hosts)
        what = "does not answer" if code is None else f"refused a query with code {code}"
        _logger.warning("ClickHouse (%s) %s: %s", hosts, what, str(error).partition("Stack trace")[0])
        raise StoreUnavailable("ClickHouse, which has the rows, does not answer on every shard") from error
