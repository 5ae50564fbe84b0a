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
    scheme, path = _folder_of(where) if "://" in str(where) else ("csv", Path(where))
    if create and not path.exists():
        path.mkdir(parents=True)
    if not path.is_dir():
        raise NoSuchStore(f"{path} is not a folder: give the DATA_DIR of a store")
    module, name = _BACKENDS[scheme]
    store: MarketStore = getattr(import_module(module), name)(path)
    return store


def _folder_of(url: Path | str) -> tuple[str, Path]:
    """Return a URL's scheme and folder."""
    parts = urlsplit(str(url))
    if parts.scheme not in _BACKENDS:
        raise NoSuchStore(f"no store has URLs of {parts.scheme}://: give a folder, or csv:///folder")
    if parts.netloc or parts.query or parts.fragment:
        raise NoSuchStore(f"{url} is not the URL of a folder, such as csv:///srv/data")
    return parts.scheme, Path(unquote(parts.path))
