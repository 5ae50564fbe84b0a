"""The table of gaps that were asked for, and what came of it."""

from django.db import models

from store.timestamps import format_timestamp

FILLED, EMPTY, EXHAUSTED = "filled", "empty", "exhausted"
STATES = (FILLED, EMPTY, EXHAUSTED)


class Backfill(models.Model):
    """A gap of a symbol in `[start_ns, end_ns)` (nanoseconds UTC) for which sources were asked.

    state: FILLED: a source gave rows, and they are stored. EMPTY: a source that knows says that there are no rows, and
    that is stored. EXHAUSTED: no source could give rows; `retry_at` is when they are asked again.

    `source` gave what is stored, at its commits `source_commit`; `commit` is our commit. `told` is what the other
    sources said: a list of [source, text]. `message`: a warning of a price. `job` is the id of the last job that asked,
    `attempts` how often sources were asked in vain.
    """

    dataset = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32)
    start_ns = models.BigIntegerField()
    end_ns = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=[(state, state) for state in STATES])
    source = models.CharField(max_length=100, default="")
    source_commit = models.CharField(max_length=200, default="")
    commit = models.CharField(max_length=40, default="")
    rows = models.BigIntegerField(default=0)
    told = models.JSONField(default=list)
    message = models.TextField(default="")
    job = models.UUIDField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, db_index=True)
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "symbol", "start_ns", "end_ns"], name="backfill_once")
        ]

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

    @property
    def statements(self) -> list[dict[str, str]]:
        """What the sources before said."""
        return [{"source": source, "said": said} for source, said in self.told]
