"""The serializer of instruments: the rules of declarations over HTTP and in files, and the JSON document."""

from collections.abc import Mapping
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from calendars.declared import EXAMPLE
from calendars.exceptions import UnknownExchange
from store.bar_policies import BAR_POLICIES
from store.currencies import currency_pair
from store.declarations import Column, ColumnKind
from store.instrument_calendars import calendar_for
from store.instruments import (
    EXERCISES,
    FUTURE,
    FX,
    GAP_RULES,
    INSTRUMENT_CLASSES,
    LARGEST_AMOUNT,
    MAX_SETTLE,
    OPTION,
    RIGHTS,
    SETTLEMENTS,
    SMALLEST_AMOUNT,
    UNKNOWN_CONDITIONS,
    VOLUME_KINDS,
    Instrument,
    default_instrument,
)
from store.row_rules import NOT_NEGATIVE, POSITIVE
from trades.batches.serializers import ColumnField, SymbolField
from trades.instruments.fields import (
    NAME_LENGTH,
    AliasesField,
    TextField,
    alias_document,
    is_calendar_date,
    is_name,
    pattern_field,
)
from web.requests.exceptions import FieldError
from web.requests.field_errors import KnownFieldsSerializer, field_errors

CLASS = "class"
# Maps a field to the instrument classes that have it. Fields that are not listed belong to all classes.
CLASSES_WITH = {
    "base_currency": (FX,),
    "underlying": (FUTURE, OPTION),
    "expiry": (FUTURE, OPTION),
    "multiplier": (FUTURE, OPTION),
    "strike": (OPTION,),
    "right": (OPTION,),
    "exercise": (OPTION,),
    "settlement": (OPTION,),
}
_AMOUNTS = ("tick_size", "multiplier", "strike")
_REQUIRED_OF_OPTIONS = ("underlying", "expiry", "strike", "right")
FUTURE_DOCUMENT = {
    "symbol": "ESH26",
    "class": "future",
    "name": "E-mini S&P 500, March 2026",
    "exchange": "XCME",
    "currency": "USD",
    "base_currency": None,
    "bar_policy": "all",
    "volume_kind": "whole",
    "tick_size": 0.25,
    "aliases": ["ES1"],
    "allow_nonpositive_price": False,
    "unknown_conditions": "keep",
    "gap_rule": "evidence",
    "settle": 2.0,
    "calendar": None,
    "underlying": "ES",
    "expiry": "2026-03-20",
    "strike": None,
    "right": None,
    "multiplier": 50.0,
    "exercise": None,
    "settlement": None,
}

FIELD_CHOICES: dict[str, tuple[str, ...]] = {
    "instrument_class": INSTRUMENT_CLASSES,
    "bar_policy": tuple(BAR_POLICIES),
    "volume_kind": VOLUME_KINDS,
    "unknown_conditions": UNKNOWN_CONDITIONS,
    "gap_rule": GAP_RULES,
    "right": RIGHTS,
    "exercise": EXERCISES,
    "settlement": SETTLEMENTS,
}
# Maps each field of the document, in its order, to the attribute of `Instrument`.
INSTRUMENT_FIELDS = {name: "instrument_class" if name == CLASS else name for name in FUTURE_DOCUMENT}


def _word(name: str, help_text: str, **options: Any) -> ColumnField:
    column = Column(name, ColumnKind.TEXT, required=True, help=help_text, choices=FIELD_CHOICES[name])
    return ColumnField(column, required=False, **options)


def _number(name: str, help_text: str) -> ColumnField:
    return ColumnField(Column(name, ColumnKind.NUMBER, help=help_text, lower_bound=POSITIVE))


@extend_schema_serializer(
    component_name="Instrument", examples=[OpenApiExample("A future", value=FUTURE_DOCUMENT)]
)
class InstrumentSerializer(KnownFieldsSerializer):
    """An instrument.

    A missing field keeps the value of the context's `base`; null makes it undeclared.
    """

    symbol = SymbolField(required=False, help_text="Its one symbol.")
    instrument_class = _word("instrument_class", "What it is.", source="instrument_class")
    name = TextField(
        "invalid_text",
        f"1-{NAME_LENGTH} printable characters without blanks at the ends",
        is_name,
        {"minLength": 1, "maxLength": NAME_LENGTH},
        help_text="What people call it.",
    )
    exchange = pattern_field(
        "[A-Z0-9]{4}",
        4,
        "a MIC, four of A-Z and 0-9, such as XNAS",
        "The market identifier code (ISO 10383) of its exchange. Its hours must be known, or `calendar` must give them.",
    )
    currency = pattern_field(
        "[A-Z]{3}",
        3,
        "three of A-Z, such as USD",
        "The currency of its prices (ISO 4217); of fx the quote currency.",
    )
    base_currency = pattern_field(
        "[A-Z]{3}", 3, "three of A-Z, such as EUR", "Of fx: the currency that a price is for (ISO 4217)."
    )
    bar_policy = _word("bar_policy", "Which prints make its bars.")
    volume_kind = _word(
        "volume_kind", "Whether volumes are counts; whole by default, fractional for crypto and fx."
    )
    tick_size = _number("tick_size", "The smallest step of its price.")
    aliases = AliasesField(required=False, help_text="Other symbols that mean it, always or for a time.")
    allow_nonpositive_price = ColumnField(
        Column("allow_nonpositive_price", ColumnKind.BOOLEAN, required=True),
        required=False,
        help_text="Whether its prices may be zero or less.",
    )
    unknown_conditions = _word(
        "unknown_conditions", "Whether new rows with conditions of unknown meaning are kept or refused."
    )
    gap_rule = _word(
        "gap_rule",
        "Which intervals without a bar are gaps: all (calendar), or those that the dates before make unlikely.",
    )
    settle = ColumnField(
        Column("settle", ColumnKind.NUMBER, required=True, lower_bound=NOT_NEGATIVE),
        required=False,
        help_text="How many seconds out of order its rows may arrive; 2 by default. A bar is final once a row is"
        " stored that is later than its end by this.",
    )
    calendar = pattern_field(
        "[A-Za-z0-9_.&+:,/-]+( [A-Za-z0-9_.&+:,/-]+)*",
        2_000,
        f"the name of a calendar, or hours such as {EXAMPLE}",
        "The name of its trading calendar, where the exchange has several; or its hours, where the exchange has none:"
        f" time zone, weekdays, hours, and dates without a session, such as `{EXAMPLE}`.",
    )
    underlying = SymbolField(
        required=False, allow_null=True, help_text="Of a future or an option: its underlying."
    )
    expiry = TextField(
        "invalid_date",
        "a date such as 2026-03-20",
        is_calendar_date,
        {"format": "date", "examples": ["2026-03-20"]},
        help_text="Of a future or an option: the date on which it expires.",
    )
    strike = _number("strike", "Of an option: the strike price.")
    right = _word("right", "Of an option: the right to buy (call) or to sell (put).", allow_null=True)
    multiplier = _number("multiplier", "Of a future or an option: units of the underlying in a contract.")
    exercise = _word("exercise", "Of an option: when it may be exercised.", allow_null=True)
    settlement = _word("settlement", "Of an option: settled to the opening or the close.", allow_null=True)

    default_error_messages = {
        "other_symbol": "must be {symbol}, or be left out",
        "of_other_class": "is for an instrument of the class {classes}; this one is of the class {instrument_class}",
        "required_of_option": "is required of an option",
        "required_of_fx": "is required of fx, because the symbol is not a pair of currencies such as EUR-USD",
        "other_currency": "must be {currency}, as the symbol says",
        "equal_currencies": "must not be the quote currency",
        "unknown_exchange": "{reason}",
        "out_of_range": "must be {bounds}",
    }

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        return {CLASS if name == "instrument_class" else name: field for name, field in fields.items()}

    def get_initial(self) -> Any:
        """Return the initial content of the browsable form."""
        base = self.context.get("base")
        return FUTURE_DOCUMENT if base is None else instrument_document(base)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        base: Instrument = self.context["base"]
        if attrs.pop("symbol", base.symbol) != base.symbol:
            raise self._error("symbol", "other_symbol", symbol=base.symbol)
        instrument = merged(base, attrs)
        self._check_terms(instrument)
        self._check_amounts(instrument)
        if instrument.settle > MAX_SETTLE:
            raise self._error("settle", "out_of_range", bounds=f"at most {MAX_SETTLE:,.0f} seconds")
        try:
            calendar_for(instrument)
        except UnknownExchange as error:
            name = "exchange" if instrument.calendar is None else "calendar"
            raise self._error(name, "unknown_exchange", reason=str(error)) from error
        return {"instrument": instrument}

    def _check_amounts(self, instrument: Instrument) -> None:
        for name in _AMOUNTS:
            value = getattr(instrument, name)
            if value is not None and not SMALLEST_AMOUNT <= value <= LARGEST_AMOUNT:
                raise self._error(
                    name, "out_of_range", bounds=f"between {SMALLEST_AMOUNT:g} and {LARGEST_AMOUNT:g}"
                )

    def _check_terms(self, instrument: Instrument) -> None:
        for name, classes in CLASSES_WITH.items():
            if getattr(instrument, name) is not None and instrument.instrument_class not in classes:
                raise self._error(
                    name,
                    "of_other_class",
                    classes=" or ".join(classes),
                    instrument_class=instrument.instrument_class,
                )
        if instrument.instrument_class == OPTION:
            for name in _REQUIRED_OF_OPTIONS:
                if getattr(instrument, name) is None:
                    raise self._error(name, "required_of_option")

        if instrument.instrument_class == FX:
            self._check_currencies(instrument)

    def _check_currencies(self, instrument: Instrument) -> None:
        pair = currency_pair(instrument.symbol)
        for name in ("base_currency", "currency"):
            if getattr(instrument, name) is None:
                raise self._error(name, "required_of_fx")
        if pair is not None and instrument.base_currency != pair.base:
            raise self._error("base_currency", "other_currency", currency=pair.base)
        if pair is not None and instrument.currency != pair.quote:
            raise self._error("currency", "other_currency", currency=pair.quote)
        if instrument.base_currency == instrument.currency:
            raise self._error("base_currency", "equal_currencies")

    def _error(self, field: str, code: str, **values: str) -> serializers.ValidationError:
        message = self.error_messages[code].format(**values)
        return serializers.ValidationError({field: [serializers.ErrorDetail(message, code=code)]})


def merged(base: Instrument, given: Mapping[str, Any]) -> Instrument:
    """Return `base` with the given values; None means the symbol's default.

    A new class drops the fields that it does not have, and sets its default volume kind.
    """
    instrument_class = given.get("instrument_class", base.instrument_class)
    defaults = default_instrument(base.symbol)
    if instrument_class == defaults.instrument_class:
        given = {name: getattr(defaults, name) if value is None else value for name, value in given.items()}
    if instrument_class == base.instrument_class:
        return msgspec.structs.replace(base, **given)
    terms = {name: getattr(base, name) for name in CLASSES_WITH}
    if instrument_class == defaults.instrument_class:
        terms |= {name: getattr(defaults, name) for name, value in terms.items() if value is None}
    terms |= {name: None for name, classes in CLASSES_WITH.items() if instrument_class not in classes}
    return msgspec.structs.replace(base, **{**terms, "volume_kind": "", **given})


def read_instrument(data: Any, *, base: Instrument) -> tuple[Instrument, list[FieldError]]:
    """Return `base` changed by `data` and no errors, or `base` itself and the errors."""
    serializer = InstrumentSerializer(data=data, context={"base": base})
    if not serializer.is_valid():
        return base, list(field_errors(serializer.errors))
    return serializer.validated_data["instrument"], []


def instrument_document(instrument: Instrument) -> dict[str, Any]:
    """Return the document of an instrument; sending it back changes nothing."""
    document = {name: getattr(instrument, attribute) for name, attribute in INSTRUMENT_FIELDS.items()}
    return document | {"aliases": tuple(map(alias_document, instrument.aliases))}
