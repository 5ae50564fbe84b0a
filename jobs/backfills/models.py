"""The table of gaps that were asked for, and what came of it."""

from django.db import models

from store.timestamps import format_timestamp

FILLED, EMPTY, EXHAUSTED = "filled", "empty", "exhausted"
STATES = (FILLED, EMPTY, EXHAUSTED)


class Backfill(models.Model):
    """A gap of a symbol in `[start_ns, end_ns)` (nanoseconds UTC) for which sources were asked.

    state: FILLED: `source` gave `rows` rows, and they are stored. EMPTY: it knows that there are none, and that is
    stored. EXHAUSTED: no source could give rows; `retry_at` is when they are asked again.

    `told` is what the other sources said: a list of {"source", "said"}. `message`: a warning of a row. `job` is the id of the
    job that asked, `attempts` how often sources were asked in vain.
    """

    dataset = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32, db_index=True)
    start_ns = models.BigIntegerField()
    end_ns = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=[(state, state) for state in STATES])
    source = models.CharField(max_length=100, default="")
    rows = models.BigIntegerField(default=0)
    told = models.JSONField(default=list)
    message = models.TextField(default="")
    job = models.UUIDField(db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, db_index=True)
    asked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.symbol} {self.start_ns}-{self.end_ns}"

    @property
    def start(self) -> str:
        """The gap's start, RFC 3339."""
        return format_timestamp(self.start_ns)

    @property
    def end(self) -> str:
        """The gap's end, exclusive, RFC 3339."""
        return format_timestamp(self.end_ns)
