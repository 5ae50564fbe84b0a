"""Runs `manage.py import`, and reads what the store then has."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from store.datasets import DATASETS
from store.protocol import ALL_TIME
from store.timestamps import format_timestamp
from trades.stores import market_store


def imported(*arguments: object, **options: Any) -> str:
    """Run the command, by default with --yes; return what it prints."""
    said = StringIO()
    call_command("import", *map(str, arguments), stdout=said, stderr=said, **{"yes": True, **options})
    return said.getvalue()


def asked(*arguments: object, **options: Any) -> str:
    """Run the command without a terminal on files that are not certain; return what it shows. It stores nothing."""
    said = StringIO()
    with pytest.raises(CommandError, match="nothing was stored: add --yes"):
        call_command("import", *map(str, arguments), stdout=said, stderr=said, **options)
    return said.getvalue()


def stored(dataset: str, *names: str) -> dict[str, list[tuple[object, ...]]]:
    """Return the stored rows of each symbol: the time as text, and the named columns."""
    store, found = market_store(), {}
    for symbol in store.symbols(DATASETS[dataset]):
        rows = store.log(DATASETS[dataset], symbol).at().rows(ALL_TIME).to_pylist()
        found[symbol] = [(format_timestamp(row["timestamp"]), *(row[name] for name in names)) for row in rows]
    return found
