"""The filters of the list of instruments."""

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.drainage import set_override

from listing.filters import StrictFilterBackend, choice_filter
from store.bar_policies import BAR_POLICIES
from store.instruments import INSTRUMENT_CLASSES, RIGHTS
from store.symbols import InvalidSymbol, parse_symbol
from trades.exceptions import InvalidValue
from trades.instruments.serializers import CLASS
from trades.models import InstrumentEntry
from trades.services.instruments import symbol_canonical

# Each word is a condition of its own: SQLite takes a thousand.
SEARCH_LENGTH = 200
_SEARCHED = ("symbol", "name", "aliases", "underlying")
Entries = QuerySet[InstrumentEntry]


class SymbolFormField(forms.CharField):
    """A symbol in any spelling, or an alias, as its symbol."""

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        try:
            return symbol_canonical(parse_symbol(text)) if text else ""
        except InvalidSymbol as error:
            raise forms.ValidationError(str(error), code=error.code) from error


class SymbolFilter(django_filters.CharFilter):  # type: ignore[misc]  # not typed
    field_class = SymbolFormField


class CodeFilter(django_filters.CharFilter):  # type: ignore[misc]
    """A code of a form, which `regex` gives."""

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
    found = CodeFilter(
        regex=rf"\A{regex}\Z", strip=False, help_text=text, error_messages={"invalid": f"must be {wording}"}
    )
    return _declared(found, {"type": "string", "pattern": f"^{regex}$"})


def _declared(found: Any, schema: dict[str, Any]) -> Any:
    """A filter whose values the schema says more of than that they are texts."""
    set_override(found, "field", schema)
    return found


class InstrumentFilter(FilterSet):  # type: ignore[misc]
    """What an instrument must be to be listed: all that is given holds."""

    instrument_class = choice_filter(INSTRUMENT_CLASSES, "What it is.", field_name="instrument_class")
    exchange = _code("[A-Z0-9]{4}", "a MIC, four of A-Z and 0-9, such as XNAS", "MIC of its exchange.")
    currency = _code("[A-Z]{3}", "three of A-Z, such as USD", "Of its prices.")
    underlying = _declared(
        SymbolFilter(help_text="Of futures and options: what they are on."),
        {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]},
    )
    expiry = _date("The date on which it expires.", "exact")
    expiry_from = _date("It expires on this date or later.", "gte")
    expiry_to = _date("It expires on this date or earlier.", "lte")
    right = choice_filter(RIGHTS, "Of options.")
    strike = django_filters.NumberFilter(help_text="Of options: the strike price.")
    bar_policy = choice_filter(tuple(BAR_POLICIES), "Which prints make its bars.")
    search = _declared(
        django_filters.CharFilter(
            method="search_words",
            max_length=SEARCH_LENGTH,
            help_text="Words, each of which occurs in symbol, name, aliases or underlying; upper and lower case alike.",
        ),
        {"type": "string", "minLength": 1, "maxLength": SEARCH_LENGTH},
    )

    class Meta:
        model = InstrumentEntry
        fields: tuple[str, ...] = ()

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        filters = super().get_filters()
        return {CLASS if name == "instrument_class" else name: each for name, each in filters.items()}

    def search_words(self, entries: Entries, _: str, text: str) -> Entries:
        """Rows in which every word occurs."""
        for word in text.split():
            found = Q()
            for name in _SEARCHED:
                found |= Q(**{f"{name}__icontains": word})
            entries = entries.filter(found)
        return entries


class InstrumentFilterBackend(StrictFilterBackend):
    """Refuses what is no symbol as it is refused elsewhere."""

    def refusal(self, code: str, message: str) -> Exception:
        if code == InvalidSymbol.code:
            return InvalidValue(code, message)
        return super().refusal(code, message)
