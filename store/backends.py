"""Opens a store by its path or URL. A backend is loaded by its dotted path, so that the reader imports none."""

from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from store.market_store import MarketStore


class NoSuchStore(ValueError):
    """The path is not a folder, or the URL is not one of a store. Give the DATA_DIR of a server that has run."""


_BACKENDS = {"csv": ("store.csv", "CsvStore"), "clickhouse": ("store.clickhouse", "ClickHouseStore")}


def store_at(where: Path | str, *, create: bool = False, **options: Any) -> MarketStore:
    """Return the store in a folder, or of a URL.

    where: a folder's path, or a URL such as `csv:///srv/data` or `clickhouse://host:9000,host:9000/database`. create: make
    a new folder. options: of the `CsvStore` or `ClickHouseStore`. Raises `NoSuchStore`.
    """
    path, scheme = folder_of(where), urlsplit(str(where)).scheme
    if path is None:
        try:
            return _made(scheme, str(where), **options)
        except ValueError as error:
            raise NoSuchStore(str(error)) from error
    if create and not path.exists():
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise NoSuchStore(f"{path} cannot be made: {error.strerror}") from error
    if not path.is_dir():
        raise NoSuchStore(f"{path} is not a folder: give the DATA_DIR of a store")
    return _made("csv", path, **options)


def _made(scheme: str, where: Path | str, **options: Any) -> MarketStore:
    module, name = _BACKENDS[scheme]
    try:
        backend = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise NoSuchStore(
            f"a store of servers needs the module {error.name}: install marketdata-store with the extra {scheme}"
        ) from error
    store: MarketStore = backend(where, **options)
    return store


def folder_of(where: Path | str) -> Path | None:
    """Return the folder of a store's path or URL; None for a store of servers. Raises `NoSuchStore`."""
    if "://" not in str(where):
        return Path(where)
    parts = urlsplit(str(where))
    if parts.scheme not in _BACKENDS:
        raise NoSuchStore(
            f"no store has URLs of {parts.scheme}://: give a folder, csv:///folder, or clickhouse://host/database"
        )
    if parts.scheme != "csv":
        return None
    if parts.netloc or not parts.path or parts.query or parts.fragment:
        raise NoSuchStore(f"{where} is not the URL of a folder, such as csv:///srv/data")
    return Path(unquote(parts.path))
