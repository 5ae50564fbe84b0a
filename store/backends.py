"""Opens a store by its path or URL. A backend is loaded by its dotted path, so that the reader imports none."""

from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from store.market_store import MarketStore


class NoSuchStore(ValueError):
    """The path is not a folder, or the URL is not one of a store. Give the DATA_DIR of a server that has run."""


_BACKENDS = {"csv": ("store.csv", "CsvStore")}


def store_at(where: Path | str, *, create: bool = False) -> MarketStore:
    """Return the store in a folder. where: its path, or a URL such as `csv:///srv/data`. create: make a new folder.

    Raises `NoSuchStore`.
    """
    scheme, path = folder_of(where)
    if create and not path.exists():
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise NoSuchStore(f"{path} cannot be made: {error.strerror}") from error
    if not path.is_dir():
        raise NoSuchStore(f"{path} is not a folder: give the DATA_DIR of a store")
    module, name = _BACKENDS[scheme]
    store: MarketStore = getattr(import_module(module), name)(path)
    return store


def folder_of(where: Path | str) -> tuple[str, Path]:
    """Return the scheme and the folder of a store's path or URL. Raises `NoSuchStore`."""
    if "://" not in str(where):
        return "csv", Path(where)
    parts = urlsplit(str(where))
    if parts.scheme not in _BACKENDS:
        raise NoSuchStore(f"no store has URLs of {parts.scheme}://: give a folder, or csv:///folder")
    if parts.netloc or not parts.path or parts.query or parts.fragment:
        raise NoSuchStore(f"{where} is not the URL of a folder, such as csv:///srv/data")
    return parts.scheme, Path(unquote(parts.path))
