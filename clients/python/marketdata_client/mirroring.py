"""Follows logs of the server into a mirror on this machine (docs/mirror.md).

Needs the server's package `store`, which also reads mirrors.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from marketdata_client._sync.session import Session
from marketdata_client.errors import Conflict, RateLimited, ServerFailed, Unreachable
from marketdata_client.history import ROOT
from marketdata_client.requests import Request, segment
from store.copies import CopyMalformed, CopyProgress, OriginRestored
from store.mirroring import WAIT_SECONDS, Mirror
from store.protocol import CommitId


def mirrored(
    source: "ServerLogs", folder: Path, symbols: Sequence[str], *, follow: bool, anew: bool
) -> Generator[CopyProgress, None, None]:
    """Yield how far each log is copied, after each round. See `Client.mirror`. Closing it frees the folder."""
    mirror = Mirror(folder, source.config.base_url)
    with mirror.opened():
        wait_seconds = max(1, min(WAIT_SECONDS, int(source.config.timeout * 0.8)))
        pause_after = source.pause_after if follow else _no_pause_after
        rounds = mirror.follow(
            source, symbols, pause_after=pause_after, wait_seconds=wait_seconds, once=not follow, anew=anew
        )
        for found in rounds:
            yield from found


def _no_pause_after(_failures: int, error: Exception) -> float:
    raise error


class ServerLogs:
    """The `LogSource` of a server."""

    def __init__(self, session: Session) -> None:
        self._session, self.config = session, session.config

    def pause_after(self, failures: int, error: Exception) -> float:
        """Return the seconds until the next attempt. Raises what does not pass by itself."""
        if isinstance(error, Unreachable | CopyMalformed):
            return self.config.retries.back_off(failures)
        if isinstance(error, RateLimited | ServerFailed):
            return max(error.retry_after or 0.0, self.config.retries.back_off(failures))
        raise error

    def states(self, symbols: Sequence[str], *, seen: str, wait_seconds: int) -> bytes:
        query = {"symbols": symbols, "seen": seen or None}
        headers = {"Prefer": f"wait={wait_seconds}"}
        return self._session.answer(Request("GET", f"{ROOT}/logs", query, headers)).body

    @contextmanager
    def copy(self, dataset: str, symbol: str, after: CommitId) -> Iterator[Iterable[bytes]]:
        path = f"{ROOT}/logs/{segment(dataset.replace('_', '-'))}/{segment(symbol)}/copy"
        query = {"after": f"{after.number}-{after.hash}" if after.number else "0"}
        try:
            with self._session.open(Request("GET", path, query)) as stream:
                yield stream.pieces()
        except Conflict as error:
            if error.code == "resync":
                raise OriginRestored(str(error)) from error
            raise
