"""Connections to the two servers: PostgreSQL has the commits, ClickHouse the rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_driver
import numpy as np
import psycopg
from clickhouse_driver.errors import Error as ClickHouseError
from clickhouse_driver.errors import ServerException
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from store import lazy_pyarrow as pa
from store.arrays import Integers, distinct
from store.clickhouse.native_block import send_rows
from store.connections import CONNECT_SECONDS, Pool, WatchedConnection
from store.exceptions import DataDamaged, StoreBusy, StoreUnavailable
from store.server_calls import ORIGIN

_logger = logging.getLogger(__name__)
LOCK_SECONDS = 3
ANSWER_SECONDS = 5
"""For a statement of PostgreSQL, and for the next packet of ClickHouse, which tells ten times a second how far it is."""
# Of one connection whose packets are lost, while the server answers others.
_KEEPALIVE: dict[str, Any] = {
    "tcp_user_timeout": ANSWER_SECONDS * 1000,
    "keepalives_idle": ANSWER_SECONDS,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
LEASE_SECONDS = 20
"""A writer that leaves PostgreSQL waiting for longer loses its transaction, and with it the log's lock."""
DEFAULT_PORT = 9000
_Host = tuple[str, int]
# Codes of ClickHouse's errors.
_COLUMN_EXISTS = {15, 44}
# The server that was asked does not reach another shard, or waits for it in vain.
_NO_ANSWER = {32, 159, 198, 209, 210, 279}
# Such an error has this text if the other shard answers.
_NO_TABLE = "There is no table"
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

    hosts: tuple[_Host, ...]
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


def _host(text: str) -> _Host:
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
            self._url.postgres, autocommit=True, connect_timeout=CONNECT_SECONDS, **_KEEPALIVE
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

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Yield a connection."""
        try:
            with self._pool.connection() as connection:
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


class ClickHouse:
    """The servers with the rows. Methods raise `StoreUnavailable`."""

    def __init__(self, url: StoreUrl) -> None:
        self._url = url
        self._pools = {host: self._pool(host) for host in url.hosts}
        self._slots: list[_Host | None] = []

    def close(self) -> None:
        """Close the idle connections."""
        for pool in self._pools.values():
            pool.close()

    def check(self, tables: Set[str]) -> None:
        """Raise `StoreUnavailable` unless every shard answers; `DataDamaged` if one lacks any of these tables."""
        everywhere = f"cluster('{self._url.cluster}', system, "
        found = self.columns(
            f"SELECT name FROM {everywhere}tables) WHERE database = '{self._url.database}'"  # noqa: S608
            f" GROUP BY name HAVING count() = (SELECT count() FROM {everywhere}one))"
        )
        lost = sorted(tables - {each for names in found for each in names})
        if lost:
            self._on_each_host(partial(self._log_lost, lost))
            database = self._url.database
            raise DataDamaged(
                f"a shard of ClickHouse has lost the table {database}.{lost[0]}: restore the store"
            )

    def _log_lost(self, tables: Sequence[str], client: clickhouse_driver.Client) -> None:
        """Log which of some tables a host lacks."""
        query = f"SELECT name FROM system.tables WHERE database = '{self._url.database}'"  # noqa: S608
        lost = set(tables).difference(each for (each,) in client.execute(query))
        if lost:
            _logger.error(
                "ClickHouse %s lacks the tables %s of %s",
                _place(client),
                ", ".join(sorted(lost)),
                self._url.database,
            )

    def columns(self, query: str, settings: dict[str, int] | None = None) -> list[Any]:
        """Return the columns of a query's result as numpy arrays; an empty list if there are no rows."""
        with self._asked(self._url.hosts[0]) as client:
            return list(client.execute(query, columnar=True, settings=settings, query_id=_query_id()))

    def columns_of(self, table: str) -> Set[str]:
        """Return the columns that a table has on every shard: to add one may have failed on some."""
        database, _, name = table.partition(".")
        everywhere = f"cluster('{self._url.cluster}', system, "
        found = self.columns(
            f"SELECT name FROM {everywhere}columns) WHERE database = '{database}' AND table = '{name}'"  # noqa: S608
            f" GROUP BY name HAVING count() = (SELECT count() FROM {everywhere}one))"
        )
        return frozenset(each for names in found for each in names)

    @contextmanager
    def inserting(self, table: str, rows: pa.Table, keys: Integers) -> Iterator[None]:
        """Send rows; at the end of the context wait until they are on their shards.

        table: a `Distributed` one. rows: without nulls. keys: the table's sharding key of each row.
        """
        slots = self._slots or self._read_slots()
        if not slots:
            raise StoreUnavailable(f"ClickHouse has no cluster {self._url.cluster}")
        own = (keys.view(np.uint64) % np.uint64(len(slots))).view(np.int64)
        with ExitStack() as stack:
            for slot in distinct(own).tolist():
                part = rows if (own == slot).all() else rows.filter(pa.array(own == slot))
                stack.enter_context(self._inserting(slots[slot], table, part))
            yield

    @contextmanager
    def _inserting(self, shard: _Host | None, table: str, rows: pa.Table) -> Iterator[None]:
        """Insert rows of a shard: on its host, or through the `Distributed` table of another one."""
        with self._asked(shard or self._url.hosts[0]) as client:
            client.establish_connection(None)
            connection = client.connection
            place = f"{table}_local" if (connection.host, connection.port) == shard else table
            connection.send_query(
                f"INSERT INTO {place} ({', '.join(rows.column_names)}) VALUES", query_id=_query_id()
            )
            connection.send_external_tables(None)
            send_rows(connection, client.receive_sample_block(), rows)
            yield
            client.receive_end_of_insert_query()

    def _read_slots(self) -> list[_Host | None]:
        """Return the host of each slot of the cluster, as `Distributed` numbers them; None if it has replicas, or no URL."""
        query = (
            "SELECT shard_num, any(shard_weight), count() = 1 AND any(is_local) FROM system.clusters"  # noqa: S608
            f" WHERE cluster = '{self._url.cluster}' GROUP BY shard_num"
        )
        shards = dict[int, list[_Host | None]]()

        def read(client: clickhouse_driver.Client) -> None:
            for shard, weight, is_own in client.execute(query):
                if is_own or shard not in shards:
                    host = client.connection.host, client.connection.port
                    shards[shard] = [host if is_own else None] * int(weight)

        self._on_each_host(read)
        self._slots = [host for shard in sorted(shards) for host in shards[shard]]
        return self._slots

    def run_everywhere(self, statements: Sequence[str]) -> None:
        """Run statements on a host of each shard. One that adds a column does nothing if the column exists."""

        def run(client: clickhouse_driver.Client) -> None:
            for statement in statements:
                try:
                    client.execute(statement)
                except ServerException as error:
                    if error.code not in _COLUMN_EXISTS:
                        raise

        self._on_each_host(run)

    def _on_each_host(self, run: Callable[[clickhouse_driver.Client], None]) -> None:
        for host in self._url.hosts:
            client = self._client([host])
            with _named_errors(client):
                try:
                    run(client)
                finally:
                    client.disconnect()

    @contextmanager
    def _asked(self, host: _Host) -> Iterator[clickhouse_driver.Client]:
        """Yield a client of a host, or of another one if it does not answer."""
        with self._pools[host].connection() as client, _named_errors(client):
            yield client

    def _pool(self, host: _Host) -> Pool[clickhouse_driver.Client]:
        hosts = [host, *(each for each in self._url.hosts if each != host)]
        return Pool(lambda: self._client(hosts), lambda client: client.disconnect(), lambda _: True)

    def _client(self, hosts: Sequence[_Host]) -> clickhouse_driver.Client:
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
    own = ORIGIN.correlation_id()
    return f"{own}-{os.urandom(4).hex()}" if own else None


def _place(client: clickhouse_driver.Client) -> str:
    """Return the host that a client asks, with the port."""
    name, port = client.connection.hosts[0]  # also of a connection that is closed
    return f"{name}:{port}"


@contextmanager
def _named_errors(client: clickhouse_driver.Client) -> Iterator[None]:
    try:
        yield
    except (ClickHouseError, OSError, EOFError) as error:
        what = "does not answer on every shard"
        if isinstance(error, ServerException) and _NO_TABLE in str(error):
            what = "lacks a table on a shard"
        elif isinstance(error, ServerException) and error.code not in _NO_ANSWER:
            what = f"refused a query with code {error.code}"
        _logger.warning("ClickHouse %s %s: %s", _place(client), what, str(error).partition("Stack trace")[0])
        raise StoreUnavailable(f"ClickHouse, which has the rows, {what}") from error
