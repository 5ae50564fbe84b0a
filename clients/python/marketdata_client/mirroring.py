"""Follows logs of the server into a mirror on this machine (docs/mirror.md).

Needs the server's package `store`, which also reads mirrors.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marketdata_client.errors import Conflict, Unreachable
from marketdata_client.exchange import answered
from marketdata_client.history import ROOT
from marketdata_client.site import Call, Site, segment
from marketdata_client.steps import Emit, Flow, Read
from store.copies import CopyMalformed, OriginRestored
from store.mirroring import CopyProgress, Mirror
from store.protocol import CommitId

# The server holds a question for news so long; the answer must come before the client's timeout.
_LONGEST_WAIT_SECONDS = 25
# Derived files make reads fast; as often as a server makes them.
_FOLD_SECONDS = 2.0

Run = Callable[[Flow[Any]], Any]
Iterate = Callable[[Flow[Any]], Iterator[Any]]


def mirrored(
    source: "ServerLogs", folder: Path, symbols: Sequence[str], *, follow: bool, anew: bool
) -> Generator[CopyProgress, None, None]:
    """Yield how far each log is copied, after each round. See `Client.mirror`. Closing it frees the folder."""
    mirror, wait_seconds, failures = Mirror(folder, source.site.base_url), 0, 0
    with mirror.opened():
        while True:
            try:
                found = mirror.update(source, symbols, anew=anew, wait_seconds=wait_seconds)
            except (Unreachable, CopyMalformed):
                failures += 1
                pause = source.site.retries.pause(failures, None)
                if pause is None:
                    raise
                time.sleep(pause)
                continue
            mirror.fold(found, pause=_FOLD_SECONDS if follow else 0.0)
            yield from found
            if not follow:
                return
            wait_seconds, failures = source.longest_wait_seconds, 0


class ServerLogs:
    """The `LogSource` of a server. run, iterate: those of a `Client`."""

    def __init__(self, site: Site, run: Run, iterate: Iterate) -> None:
        self.site, self._run, self._iterate = site, run, iterate

    @property
    def longest_wait_seconds(self) -> int:
        return max(1, min(_LONGEST_WAIT_SECONDS, int(self.site.timeout * 0.8)))

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
            yield self._iterate(_pieces(self.site, Call("GET", path, query)))
        except Conflict as error:
            if error.code == "resync":
                raise OriginRestored(str(error)) from error
            raise


def _pieces(site: Site, call: Call) -> Flow[None]:
    yield from answered(site, call, opened=True)
    while piece := (yield Read()):
        yield Emit(piece)
