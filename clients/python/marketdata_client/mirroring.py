"""Follows logs of the server into a mirror on this machine (docs/mirror.md).

Needs the server's package `store`, which also reads mirrors.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from marketdata_client.errors import Conflict, RateLimited, ServerFailed, Unreachable
from marketdata_client.exchange import answered
from marketdata_client.history import ROOT
from marketdata_client.site import Call, Site, segment
from marketdata_client.steps import Emit, Flow, Read
from store.copies import CopyMalformed, CopyProgress, OriginRestored
from store.mirroring import WAIT_SECONDS, Mirror
from store.protocol import CommitId

Run = Callable[[Flow[Any]], Any]
Iterate = Callable[[Flow[Any]], Generator[Any, None, None]]


def mirrored(
    source: "ServerLogs", folder: Path, symbols: Sequence[str], *, follow: bool, anew: bool
) -> Generator[CopyProgress, None, None]:
    """Yield how far each log is copied, after each round. See `Client.mirror`. Closing it frees the folder."""
    mirror = Mirror(folder, source.site.base_url)
    with mirror.opened():
        wait_seconds = max(1, min(WAIT_SECONDS, int(source.site.timeout * 0.8)))
        pause_after = source.pause_after if follow else _no_pause_after
        rounds = mirror.follow(
            source, symbols, pause_after=pause_after, wait_seconds=wait_seconds, once=not follow, anew=anew
        )
        for found in rounds:
            yield from found


def _no_pause_after(_failures: int, error: Exception) -> float:
    raise error


class ServerLogs:
    """The `LogSource` of a server. run, iterate: those of a `Client`."""

    def __init__(self, site: Site, run: Run, iterate: Iterate) -> None:
        self.site, self._run, self._iterate = site, run, iterate

    def pause_after(self, failures: int, error: Exception) -> float:
        """Return the seconds until the next attempt. Raises what does not pass by itself."""
        if isinstance(error, Unreachable | CopyMalformed):
            return self.site.retries.back_off(failures)
        if isinstance(error, RateLimited | ServerFailed):
            return max(error.retry_after or 0.0, self.site.retries.back_off(failures))
        raise error

    def states(self, symbols: Sequence[str], *, seen: str, wait_seconds: int) -> bytes:
        query = {"symbols": symbols, "seen": seen or None}
        call = Call("GET", f"{ROOT}/logs", query, {"Prefer": f"wait={wait_seconds}"})
        document: bytes = self._run(answered(self.site, call)).body
        return document

    @contextmanager
    def copy(self, dataset: str, symbol: str, after: CommitId) -> Iterator[Iterable[bytes]]:
        path = f"{ROOT}/logs/{segment(dataset.replace('_', '-'))}/{segment(symbol)}/copy"
        query = {"after": f"{after.number}-{after.hash}" if after.number else "0"}
        try:
            with closing(self._iterate(_pieces(self.site, Call("GET", path, query)))) as pieces:
                yield pieces
        except Conflict as error:
            if error.code == "resync":
                raise OriginRestored(str(error)) from error
            raise


def _pieces(site: Site, call: Call) -> Flow[None]:
    yield from answered(site, call, opened=True)
    while piece := (yield Read()):
        yield Emit(piece)
