"""The query parameters of instruments: filters, pages, and their fields in the browsable form."""

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.drainage import set_override

from store.bar_policies import BAR_POLICIES
from store.instruments import INSTRUMENT_CLASSES, RIGHTS
from store.symbols import InvalidSymbol, parse_symbol
from trades.instruments.serializers import CLASS
from trades.instruments.services import symbol_canonical
from trades.models import InstrumentEntry
from web.lists.filters import choice_filter
from web.lists.pages import KeysetPagination


class InstrumentPagination(KeysetPagination):
    """Pages of instruments, by symbol."""

    rows_name = "instruments"
    by = "symbol"
    sort_description = "By symbol."


# In characters. Each word adds a condition to the query, and SQLite allows a thousand.
SEARCH_LENGTH = 200
_INVALID_NUMBER = "invalid_number"
_SEARCHED = ("symbol", "name", "aliases", "underlying")
Entries = QuerySet[InstrumentEntry]


class SymbolFormField(forms.CharField):
    """A symbol in any spelling, or an alias; cleaned to the canonical symbol."""

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        try:
            return symbol_canonical(parse_symbol(text)) if text else ""
        except InvalidSymbol as error:
            raise forms.ValidationError(str(error), code=error.code) from error


class SymbolFilter(django_filters.CharFilter):  # type: ignore[misc]  # not typed
    field_class = SymbolFormField


class NumberFormField(forms.DecimalField):
    """A decimal number. Any other text has the code of query parameters that are numbers."""

    def clean(self, value: Any) -> Any:
        try:
            return super().clean(value)
        except forms.ValidationError as error:
            raise forms.ValidationError("must be a number", code=_INVALID_NUMBER) from error


class NumberFilter(django_filters.NumberFilter):  # type: ignore[misc]
    field_class = NumberFormField


class CodeFilter(django_filters.CharFilter):  # type: ignore[misc]
    """A text that matches `regex`."""

    field_class = forms.RegexField


def _date(text: str, lookup: str) -> django_filters.DateFilter:
    return django_filters.DateFilter(
        field_name="expiry",
        lookup_expr=lookup,
        input_formats=["%Y-%m-%d"],
        help_text=text,
        error_messages={"invalid": "must be a date such as 2026-03-20"},
    )


def _code(regex: str, wording: str, text: str) -> Any:
    each = CodeFilter(
        regex=rf"\A{regex}\Z", strip=False, help_text=text, error_messages={"invalid": f"must be {wording}"}
    )
    return _with_schema(each, {"type": "string", "pattern": f"^{regex}$"})


def _with_schema(each: Any, schema: dict[str, Any]) -> Any:
    """Set the OpenAPI schema of a filter's values; return the filter."""
    set_override(each, "field", schema)
    return each


class InstrumentFilter(FilterSet):  # type: ignore[misc]
    """The filters of the list. An instrument must match all given filters."""

    instrument_class = choice_filter(INSTRUMENT_CLASSES, "What it is.", field_name="instrument_class")
    exchange = _code("[A-Z0-9]{4}", "a MIC, four of A-Z and 0-9, such as XNAS", "MIC of its exchange.")
    currency = _code("[A-Z]{3}", "three of A-Z, such as USD", "Of its prices.")
    underlying = _with_schema(
        SymbolFilter(help_text="The underlying of futures and options."),
        {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]},
    )
    expiry = _date("The date on which it expires.", "exact")
    expiry_from = _date("It expires on this date or later.", "gte")
    expiry_to = _date("It expires on this date or earlier.", "lte")
    right = choice_filter(RIGHTS, "Of options.")
    strike = NumberFilter(help_text="Of options: the strike price.")
    bar_policy = choice_filter(tuple(BAR_POLICIES), "Which prints make its bars.")
    search = _with_schema(
        django_filters.CharFilter(
            method="search_words",
            max_length=SEARCH_LENGTH,
            help_text="Words, each of which occurs in symbol, name, aliases or underlying; upper and lower case alike.",
        ),
        {"type": "string", "minLength": 1, "maxLength": SEARCH_LENGTH},
    )

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        filters = super().get_filters()
        return {CLASS if name == "instrument_class" else name: each for name, each in filters.items()}

    def search_words(self, entries: Entries, _: str, text: str) -> Entries:
        """Return the rows in which all words of `text` occur."""
        for word in text.split():
            occurs = Q()
            for name in _SEARCHED:
                occurs |= Q(**{f"{name}__icontains": word})
            entries = entries.filter(occurs)
        return entries
