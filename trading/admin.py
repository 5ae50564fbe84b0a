"""Trading in the admin. What follows from events is shown; only the terms of instruments are changed."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django.utils import timezone

from audit.services import event_record
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import format_timestamp
from trades.instruments.services import symbol_canonical
from trading.journal import state_of
from trading.models import Account, ExecutionRow, InstrumentTerms, OrderRow, TransactionRow
from web.read_only_admin import ReadOnlyAdmin

_NUMBERS = ("tick", "lot", "borrow_rate", "initial_margin", "maintenance_margin", "contract_margin")


class ShownOnly(ReadOnlyAdmin):
    """Rows that follow from events: they can be read and filtered, not changed. Newest first."""

    show_full_result_count = False

    @admin.display(description="at")
    def at(self, row: Any) -> str:
        """Return the instant of a row's event."""
        return format_timestamp(row.at_ns)


@admin.register(Account)
class AccountAdmin(ShownOnly):
    """Accounts, with what their state says."""

    list_display = ("name", "kind", "currency", "status", "zone", "equity", "number")
    search_fields = ("name",)

    @admin.display
    def kind(self, account: Account) -> str:
        return state_of(account).kind.value

    @admin.display
    def currency(self, account: Account) -> str:
        return state_of(account).currency

    @admin.display
    def status(self, account: Account) -> str:
        return state_of(account).status

    @admin.display
    def zone(self, account: Account) -> str:
        return state_of(account).zone.value

    @admin.display(description="equity at the last mark")
    def equity(self, account: Account) -> str:
        return f"{state_of(account).equity:,.2f}"


@admin.register(OrderRow)
class OrderRowAdmin(ShownOnly):
    """Orders."""

    list_display = ("uuid", "account", "symbol", "side", "strategy", "state", "submitted")
    list_filter = ("state", "side", "account")
    list_select_related = ("account",)
    search_fields = ("=uuid", "=client_order_id", "=symbol")

    @admin.display(description="submitted")
    def submitted(self, order: OrderRow) -> str:
        return format_timestamp(order.submitted_ns)


@admin.register(ExecutionRow)
class ExecutionRowAdmin(ShownOnly):
    """Executions."""

    list_display = ("uuid", "account", "symbol", "state", "number", "at")
    list_filter = ("state", "account")
    list_select_related = ("account",)
    search_fields = ("=uuid", "=symbol")
    raw_id_fields = ("order",)


@admin.register(TransactionRow)
class TransactionRowAdmin(ShownOnly):
    """What events booked."""

    list_display = ("number", "at", "account", "kind", "symbol", "booked", "balance_after")
    list_filter = ("kind", "account")
    list_select_related = ("account",)
    search_fields = ("=symbol",)

    @admin.display(description="amount")
    def booked(self, row: TransactionRow) -> str:
        """Return the amount with its currency, without zeros at its end."""
        return f"{_shown(row.amount)} {row.currency}"

    @admin.display(description="balance")
    def balance_after(self, row: TransactionRow) -> str:
        """Return the balance after the event, without zeros at its end."""
        return _shown(row.balance)


def _shown(number: str) -> str:
    return f"{Decimal(number).normalize():,f}"


class InstrumentTermsForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Terms that differ from those of the instrument's class. An empty field does not differ."""

    class Meta:
        model = InstrumentTerms
        fields = ("symbol", *_NUMBERS, "shortable")

    def clean_symbol(self) -> str:
        """Return the canonical symbol."""
        try:
            return symbol_canonical(parse_symbol(self.cleaned_data["symbol"]))
        except InvalidSymbol as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Refuse what is no number above zero."""
        values = super().clean() or self.cleaned_data
        for name in _NUMBERS:
            text = values.get(name) or ""
            # Quantities have nine decimals.
            decimals = 9 if name == "lot" else 18
            if text and not _is_amount(text, decimals):
                self.add_error(
                    name, f"must be a number above 0, such as 0.01, with at most {decimals} decimals"
                )
        return values


def _is_amount(text: str, decimals: int) -> bool:
    """Return whether a text is a number above zero with which amounts are computed exactly: ASCII digits and a point."""
    return re.fullmatch(rf"[0-9]{{1,12}}(\.[0-9]{{1,{decimals}}})?", text) is not None and Decimal(text) > 0


@admin.register(InstrumentTerms)
class InstrumentTermsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Terms of instruments. A change holds for orders that are accepted from then on."""

    form = InstrumentTermsForm
    list_display = ("symbol", *_NUMBERS, "shortable")
    search_fields = ("symbol",)
    ordering = ("symbol",)
    actions = None

    def save_model(self, request: HttpRequest, obj: InstrumentTerms, form: Any, change: bool) -> None:
        """Store the terms and their audit record, or neither."""
        before = model_to_dict(InstrumentTerms.objects.get(pk=obj.pk)) if change else {}
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            _record(request, "terms.changed", obj, (before, model_to_dict(obj)))

    def delete_model(self, request: HttpRequest, obj: InstrumentTerms) -> None:
        """Delete the terms, and record it, or neither."""
        with transaction.atomic():
            _record(request, "terms.deleted", obj, (model_to_dict(obj), {}))
            super().delete_model(request, obj)


def _record(request: HttpRequest, event: str, terms: InstrumentTerms, change: tuple[Any, Any]) -> None:
    event_record(
        at=timezone.now(),
        actor=f"user:{request.user.pk}",
        audit_class="config",
        event=event,
        subject=f"instrument:{terms.symbol}",
        detail={"change": change},
        correlation_id=getattr(request, "correlation_id", ""),
    )
