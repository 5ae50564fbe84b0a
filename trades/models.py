"""The search table of instruments, a copy of the market store's instruments in Django's database."""

from typing import Any

from django.db import models

from store.instruments import DEFAULT_SETTLE

TEXT_LENGTHS = {
    "instrument_class": 16,
    "name": 200,
    "exchange": 4,
    "currency": 3,
    "base_currency": 3,
    "bar_policy": 64,
    "volume_kind": 16,
    "unknown_conditions": 16,
    "gap_rule": 16,
    "calendar": 2_000,
    "underlying": 32,
    "right": 4,
    "exercise": 16,
    "settlement": 2,
}


def _text(name: str, label: str | None = None, **options: Any) -> "models.CharField[str, str]":
    return models.CharField(label, max_length=TEXT_LENGTHS[name], blank=True, **options)


class InstrumentEntry(models.Model):
    """An instrument that has data or a declaration; `catalogue_refresh` brings the table up to date.

    document: the instrument as JSON, from which answers are made. The other columns serve filters, search and
    the admin; an undeclared text is empty.
    """

    symbol = models.CharField(max_length=32, primary_key=True)
    instrument_class = _text("instrument_class", "class", db_index=True)
    name = _text("name")
    exchange = _text("exchange", db_index=True)
    currency = _text("currency")
    base_currency = _text("base_currency")
    bar_policy = _text("bar_policy")
    volume_kind = _text("volume_kind")
    tick_size = models.FloatField(null=True, blank=True)
    aliases = models.TextField(blank=True, help_text="Other symbols that mean it, separated by semicolons.")
    allow_nonpositive_price = models.BooleanField("prices of zero and less", default=False)
    unknown_conditions = _text("unknown_conditions")
    gap_rule = _text("gap_rule")
    settle = models.FloatField(default=DEFAULT_SETTLE, blank=True)
    calendar = _text("calendar")
    underlying = _text("underlying")
    expiry = models.DateField(null=True, blank=True, db_index=True)
    strike = models.FloatField(null=True, blank=True)
    right = _text("right")
    multiplier = models.FloatField(null=True, blank=True)
    exercise = _text("exercise")
    settlement = _text("settlement")
    document = models.TextField(editable=False)

    class Meta:
        ordering = ("symbol",)
        verbose_name = "instrument"
        indexes = (models.Index(fields=["underlying", "expiry", "strike"], name="instrument_contract"),)

    def __str__(self) -> str:
        return self.symbol


class CatalogueState(models.Model):
    """A single row: the store's stamp at the last refresh of the search table, and the table's row count."""

    stamp = models.CharField(max_length=64)
    rows = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return self.stamp
