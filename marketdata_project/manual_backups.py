"""The commands that copy an installation over PostgreSQL, ClickHouse or a store in another folder, for people to run."""

from pathlib import Path
from shlex import quote

from django.conf import settings

from marketdata_project.backups import COMMITS_FILE, DATABASE, MADE_ANEW, folders_of_settings
from store.backends import folder_of

_MANAGE = ".venv/bin/python manage.py"
_TABLES, _MARKET = "tables.dump", "market"


def is_of_files() -> bool:
    """Return whether the database is SQLite and the store is in DATA_DIR: the commands `backup` and `restore` copy these."""
    return _is_sqlite() and _store() == Path(settings.DATA_DIR)


def manual_backup(target: Path) -> list[str]:
    """Return the lines to run in a shell instead of `backup`, in this order: the database first."""
    to, data = quote(str(target)), quote(str(settings.DATA_DIR))
    lines = [f"mkdir -p {to}"]
    if _is_sqlite():
        lines.append(f'sqlite3 {quote(str(settings.DATABASES["default"]["NAME"]))} ".backup {to}/{DATABASE}"')
    else:
        lines.append(f'pg_dump -Fc -n public -f {to}/{_TABLES} "$DATABASE_URL"')
    store, excluded = _store(), f"--exclude={COMMITS_FILE} --exclude=.derived"
    if store is None:
        lines.append(f'{_MANAGE} store copy "$MARKET_STORE" {to}/{_MARKET}')
    else:
        market, place = (to if store == Path(settings.DATA_DIR) else f"{to}/{_MARKET}"), quote(str(store))
        if store != Path(settings.DATA_DIR):
            lines.append(f"mkdir -p {market}")
        # The log files first: rows that no copied log names do not count.
        lines.append(f"(cd {place} && find . -name {COMMITS_FILE} | tar -cf - -T -) | tar -xf - -C {market}")
        if store != Path(settings.DATA_DIR):
            lines.append(f"tar -C {place} {excluded} -cf - . | tar -xf - -C {market}")
    others = " ".join(quote(f"--exclude=./{name}") for name in (*MADE_ANEW, f"{DATABASE}*"))
    lines.append(f"tar -C {data} {excluded} {others} -cf - . | tar -xf - -C {to}")
    return [*lines, *(f"cp -a {quote(str(path))} {to}/{name}" for name, path in _folders_outside())]


def manual_restore(origin: Path) -> list[str]:
    """Return the lines to run in a shell instead of `restore`, while no server runs, into an empty database, folder and store."""
    of, data = quote(str(origin)), quote(str(settings.DATA_DIR))
    lines = [
        f"mkdir -p {data}",
        f"tar -C {of} --exclude=./{_TABLES} --exclude=./{_MARKET} -cf - . | tar -xf - -C {data}",
    ]
    if not _is_sqlite():
        lines.append(f'pg_restore --clean --if-exists -d "$DATABASE_URL" {of}/{_TABLES}')
    store = _store()
    if store is None:
        lines.append(f'{_MANAGE} store copy {of}/{_MARKET} "$MARKET_STORE"')
    elif store != Path(settings.DATA_DIR):
        lines.append(f"cp -a {of}/{_MARKET} {quote(str(store))}")
    return [*lines, *(f"cp -a {of}/{name} {quote(str(path))}" for name, path in _folders_outside())]


def _is_sqlite() -> bool:
    return bool(settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3")


def _store() -> Path | None:
    """Return the folder of the store; None for a store of servers."""
    return folder_of(settings.MARKET_STORE or settings.DATA_DIR)


def _folders_outside() -> list[tuple[str, Path]]:
    folders = folders_of_settings()
    return [(name, path) for name, path in folders.items() if not path.is_relative_to(settings.DATA_DIR)]
