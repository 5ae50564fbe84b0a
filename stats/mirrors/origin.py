"""The installation that a mirror follows, over HTTP."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from ops.outbound.destination import Destination, Limits
from ops.outbound.exceptions import AnswerTooLarge, UnexpectedStatus
from store.copies import OriginRestored
from store.protocol import CommitId

_ROOT = "/api/v1/market-data/logs"
_STATES_BYTES = 16 * 2**20
# The largest copy is one of a single commit. Its batch had at most some 100 MiB.
_COPY_BYTES = 2**30
# The follower itself waits after errors, and asks again.
_LIMITS = Limits(read=45.0, total=600.0, max_bytes=_COPY_BYTES, attempts=1, failures=1_000_000)


class InstallationLogs:
    """A `LogSource`. Raises `OutboundError`s."""

    def __init__(self, url: str, key: str) -> None:
        """url: as a person typed it, so any address is allowed. Raises `DestinationRefused`."""
        self._origin = Destination(
            "the origin", url, headers={"X-API-Key": key}, limits=_LIMITS, is_trusted=True
        )

    def states(self, symbols: Sequence[str], *, seen: str, wait_seconds: int) -> bytes:
        """See `LogSource`."""
        terms = {"symbols": ",".join(symbols), **({"seen": seen} if seen else {})}
        headers = {"Accept": "application/json", "Prefer": f"wait={wait_seconds}"}
        document = bytearray()
        with self._origin.stream(_ROOT, params=terms, headers=headers) as answer:
            for piece in answer.pieces:
                document += piece
                if len(document) > _STATES_BYTES:
                    raise AnswerTooLarge("the origin", f"the list of logs has over {_STATES_BYTES:,} bytes")
        return bytes(document)

    @contextmanager
    def copy(self, dataset: str, symbol: str, after: CommitId) -> Iterator[Iterable[bytes]]:
        """See `LogSource`."""
        path = f"{_ROOT}/{dataset.replace('_', '-')}/{quote(symbol)}/copy"
        terms = {"after": f"{after.number}-{after.hash}" if after.number else "0"}
        try:
            with self._origin.stream(
                path, params=terms, headers={"Accept": "application/x-ndjson"}
            ) as answer:
                yield answer.pieces
        except UnexpectedStatus as error:
            if error.code == "resync":
                raise OriginRestored(str(error)) from error
            raise
