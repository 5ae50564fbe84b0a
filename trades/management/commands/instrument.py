"""`manage.py instrument`: shows an instrument, or changes it."""

import json
from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ops.command_line import command_actor
from store.exceptions import StorageError
from store.instruments import ALIAS_SEPARATOR, Instrument
from store.symbols import InvalidSymbol, parse_symbol
from trades.instruments.serializers import (
    FIELD_CHOICES,
    INSTRUMENT_FIELDS,
    InstrumentSerializer,
    instrument_document,
)
from trades.instruments.services import instruments_declare
from trades.instruments.texts import read_texts
from trades.stores import market_store

# Fields that have options of their own, below.
_OTHER_FIELDS = {"symbol", "aliases", "allow_nonpositive_price"}


class Command(BaseCommand):
    help = (
        "Change the given fields of an instrument, and print it as JSON. A change takes effect at once everywhere. An empty"
        " value makes a field undeclared."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("symbol", metavar="SYMBOL")
        for name, field in InstrumentSerializer().fields.items():
            if name not in _OTHER_FIELDS:
                words = ", ".join(FIELD_CHOICES.get(INSTRUMENT_FIELDS[name], ()))
                text = f"{field.help_text} One of {words}." if words else str(field.help_text)
                parser.add_argument(f"--{name.replace('_', '-')}", help=text)
        parser.add_argument(
            "--alias",
            action="append",
            dest="aliases",
            help="another symbol that means it, with the dates of a past one: FB@2012-05-18/2022-06-09; list all of"
            " them, they replace the stored ones",
        )
        parser.add_argument(
            "--allow-nonpositive-price",
            action=BooleanOptionalAction,
            help="whether prices may be zero or less",
        )

    def handle(self, *_: Any, symbol: str, **options: Any) -> None:
        """Show or change an instrument. Raises CommandError for wrong fields and for the store's errors."""
        try:
            instrument = _changed(symbol, _cells(options))
        except StorageError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            problem = f"the change cannot be recorded, so it was not made: {error}"
            raise CommandError(f"{problem}; in a new DATA_DIR run `manage.py migrate` first") from error
        self.stdout.write(json.dumps(instrument_document(instrument)))


def _cells(options: dict[str, Any]) -> dict[str, str]:
    """Return the given fields of an instrument as texts."""
    cells = {name: options[name] for name in INSTRUMENT_FIELDS if options.get(name) is not None}
    if "aliases" in cells:
        cells["aliases"] = ALIAS_SEPARATOR.join(cells["aliases"])
    if "allow_nonpositive_price" in cells:
        cells["allow_nonpositive_price"] = str(cells["allow_nonpositive_price"]).lower()
    return cells


def _changed(symbol: str, cells: dict[str, str]) -> Instrument:
    """Declare the changes, if any, and return the instrument. Raises `CommandError`."""
    try:
        current = market_store().instrument(parse_symbol(symbol))
    except InvalidSymbol as error:
        raise CommandError(f"{symbol}: {error}") from error
    if not cells:
        return current
    instrument, errors = read_texts(cells, current)
    if errors:
        raise CommandError("; ".join(f"{error.path}: {error.message}" for error in errors))
    return instruments_declare(instruments=[instrument], actor=command_actor())[0]
