"""The admin of instruments. It searches the table InstrumentEntry, and changes the store by the commands' service."""

from datetime import date
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from store.exceptions import AliasTaken
from store.instruments import Instrument
from store.symbols import InvalidSymbol, parse_symbol
from trades.instruments.catalogue import catalogue_refresh
from trades.instruments.serializers import FIELD_CHOICES, INSTRUMENT_FIELDS
from trades.instruments.services import instruments_declare, symbol_canonical
from trades.instruments.texts import read_texts
from trades.models import InstrumentEntry
from trades.stores import market_store

# Generic for the type checker only: at run time Django's classes take no parameter.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[InstrumentEntry]
    _ModelForm = forms.ModelForm[InstrumentEntry]
else:
    _ModelAdmin = admin.ModelAdmin
    _ModelForm = forms.ModelForm


class InstrumentEntryForm(_ModelForm):
    """The form of an instrument's declaration; an empty field is undeclared."""

    instrument: Instrument

    class Meta:
        model = InstrumentEntry
        fields = tuple(INSTRUMENT_FIELDS.values())

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, words in FIELD_CHOICES.items():
            choices = [("", ""), *((word, word) for word in words)]
            self.fields[name] = forms.ChoiceField(choices=choices, required=False)
        self.fields["aliases"].widget = forms.TextInput(attrs={"size": 60})
        self.fields["aliases"].help_text += " With the dates of a past one: FB@2012-05-18/2022-06-09."

    def clean_symbol(self) -> str:
        """Return the normalized symbol.

        Raises ValidationError if it is malformed, or is an alias: then the user must edit the instrument that has the
        alias.
        """
        try:
            symbol = parse_symbol(self.cleaned_data["symbol"])
        except InvalidSymbol as error:
            raise forms.ValidationError(str(error)) from error
        if symbol_canonical(symbol) != symbol:
            raise forms.ValidationError(
                f"{symbol} is an alias of {symbol_canonical(symbol)}: change that one"
            )
        catalogue_refresh()  # so that the form refuses a symbol that exists already
        return symbol

    def clean(self) -> dict[str, Any]:
        """Check the values by the same rules as the API and the commands."""
        values = super().clean() or self.cleaned_data
        symbol = self.instance.symbol or values.get("symbol")
        if self.errors or not symbol:
            return values
        cells = {name: _text(values[field]) for name, field in INSTRUMENT_FIELDS.items() if field != "symbol"}
        self.instrument, errors = read_texts(cells, market_store().instrument(symbol))
        for error in errors:
            self.add_error(INSTRUMENT_FIELDS.get(error.path), error.message)
        try:
            market_store().check_instruments([self.instrument])
        except AliasTaken as error:
            self.add_error("aliases", str(error))
        return values


@admin.register(InstrumentEntry)
class InstrumentEntryAdmin(_ModelAdmin):
    """Search and change instruments. They cannot be deleted: the store keeps every declaration."""

    form = InstrumentEntryForm
    # As many columns as fit beside the filters. An instrument's own page has the rest.
    list_display = ("symbol", "instrument_class", "name", "exchange", "currency", "underlying", "expiry")
    list_filter = ("instrument_class", "exchange", "currency", "bar_policy", "volume_kind", "right")
    search_fields = ("symbol", "name", "aliases", "underlying")
    ordering = ("symbol",)
    list_per_page = 100
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[InstrumentEntry]:
        """Bring the table up to date with the store first."""
        catalogue_refresh()
        return super().get_queryset(request)

    def get_readonly_fields(
        self, request: HttpRequest, obj: InstrumentEntry | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("symbol",)

    def has_delete_permission(self, request: HttpRequest, obj: InstrumentEntry | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: InstrumentEntry, form: Any, change: bool) -> None:
        """Declare the instrument in the store, then refresh the table."""
        instruments_declare(instruments=[form.instrument], actor=f"user:{request.user.pk}")
        catalogue_refresh()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)
