"""The client for programs with threads."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketdata_client._sync.client import SyncClient

if TYPE_CHECKING:
    from store.copies import CopyProgress


class Client(SyncClient):
    """A client of one server. Threads may share it. Use it in `with`, or call `close()`.

    base_url: the URL before `/api/v1`. key: an API key. options: see `Options`. Raises ValueError if the URL is not of http or https, or a credential is not visible ASCII.
    """

    def mirror(
        self, folder: str | Path, symbols: Sequence[str], *, follow: bool = True, anew: bool = False
    ) -> "Generator[CopyProgress, None, None]":
        """Copy the logs of symbols into a local store, and iterate over how far each is (docs/mirror.md).

        follow: go on with what is stored later, for ever; failures that may pass are tried again. anew: copy a log that was restored again, from the beginning.
        Needs the server's package `store`, and a key with the scope `market:copy`. Raises `store.copies.MirrorError`.
        """
        from marketdata_client.mirroring import ServerLogs, mirrored  # noqa: PLC0415 optional

        return mirrored(ServerLogs(self._session), Path(folder), symbols, follow=follow, anew=anew)
