"""Filters of the lists of an account's rows."""

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet

from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from trades.instruments.services import requested_symbol, symbol_canonical
from trading.core.orders import OrderState
from web.lists.filters import choice_filter
from web.requests.exceptions import InvalidParameter

# The word for all states that another one may follow.
_OPEN = "open"
DEFAULT_LIMIT = 50
_DIRECTIONS = {"LONG": "buy", "SHORT": "sell"}

Rows = QuerySet[Any]


class _TimeFormField(forms.CharField):
    """A time as nanoseconds UTC."""

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        try:
            return parse_timestamp_or_epoch(text) if text else None
        except InvalidTimestamp as error:
            raise forms.ValidationError(str(error), code=error.code) from error


class _TimeFilter(django_filters.CharFilter):  # type: ignore[misc]  # not typed
    field_class = _TimeFormField


def _strategy() -> django_filters.CharFilter:
    return django_filters.CharFilter(max_length=64, help_text="The strategy's name.")


class _RowsFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filter that all lists have."""

    symbol = django_filters.CharFilter(method="of_symbol", help_text="The symbol, or an alias of it.")

    def of_symbol(self, rows: Rows, _: str, symbol: str) -> Rows:
        """Return the rows of a symbol. Raises InvalidValue."""
        return rows.filter(symbol=symbol_canonical(requested_symbol(symbol)))


class OrderFilter(_RowsFilter):
    """The filters of orders, combined with AND."""

    status = choice_filter(
        (_OPEN, *(state.value for state in OrderState)),
        "The order's state; `open`: any that can still change.",
        method="of_status",
    )
    strategy = _strategy()

    def of_status(self, rows: Rows, _: str, status: str) -> Rows:
        """Return the orders in a state."""
        return rows.filter(is_open=True) if status == _OPEN else rows.filter(state=status)


class SignalFilter(_RowsFilter):
    """The filters of signals, combined with AND."""

    strategy = _strategy()
    direction = choice_filter(list(_DIRECTIONS), "The position that it opens.", method="of_direction")

    def of_direction(self, rows: Rows, _: str, direction: str) -> Rows:
        """Return the orders that buy or sell."""
        return rows.filter(side=_DIRECTIONS[direction])


class ExecutionFilter(_RowsFilter):
    """The filter of executions."""


class TransactionFilter(_RowsFilter):
    """The filters of transactions, combined with AND."""

    kind = django_filters.CharFilter(max_length=40, help_text="The event's name, such as transferred.")


class TradeFilter(_RowsFilter):
    """The filters of closed trades, combined with AND."""

    from_time = _TimeFilter(
        field_name="closed_ns", lookup_expr="gte", label="From", help_text="Closed at this time or later."
    )
    to_time = _TimeFilter(
        field_name="closed_ns", lookup_expr="lt", label="To", help_text="Closed before this time."
    )
    strategy = _strategy()
    direction = choice_filter(list(_DIRECTIONS), "Of the position.")

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Return the filters by parameter name. `from` is a keyword in Python, so the attributes have other names."""
        return {name.removesuffix("_time"): each for name, each in super().get_filters().items()}

    def filter_queryset(self, queryset: Rows) -> Rows:
        """Return the matching trades. Raises InvalidParameter if `from` is not before `to`."""
        first, end = (self.form.cleaned_data.get(name) for name in ("from", "to"))
        if first is not None and end is not None and first >= end:
            raise InvalidParameter("invalid_range", "from must be before to")
        found: Rows = super().filter_queryset(queryset)
        return found
