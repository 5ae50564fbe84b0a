"""The backend of `DATABASES`, under the name by which Django finds it."""

import os
from functools import partial
from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from store.connections import CONNECT_SECONDS, Pool, WatchedConnection

_pools: dict[object, Pool[WatchedConnection]] = {}


def _close_idle() -> None:
    for pool in _pools.values():
        pool.close()


# A child would have the sockets open for as long as it lives.
os.register_at_fork(before=_close_idle)


class DatabaseWrapper(base.DatabaseWrapper):
    """A thread takes an idle connection of the process, and gives it back when Django closes it after a call.

    A process has as many connections as threads that use one at a moment, and keeps some of them.
    """

    _pool: Pool[WatchedConnection]

    def get_connection_params(self) -> dict[str, Any]:
        return {"connect_timeout": CONNECT_SECONDS, **super().get_connection_params()}

    def get_new_connection(self, conn_params: dict[str, Any]) -> WatchedConnection:
        """Return a connection that no other thread uses."""
        place = tuple(map(conn_params.get, ("host", "port", "dbname", "user", "service")))
        if place not in _pools:
            connect = partial(WatchedConnection.connect, **conn_params)
            new = Pool(connect, WatchedConnection.close, WatchedConnection.is_open)
            # Two threads may come here at once.
            _pools.setdefault(place, new)
        self._pool = _pools[place]
        return self._pool.take()

    def _close(self) -> None:
        connection: WatchedConnection = self.connection
        if connection.closed:
            # A server that is lost to one is lost to the idle ones, too, even if they do not show it.
            self._pool.close()
        elif self.errors_occurred or connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
        else:
            self._pool.give(connection)
