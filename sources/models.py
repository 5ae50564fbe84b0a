"""The tables of sources: which source a symbol is from, what was fetched or is fed, whose terms were shown."""

from django.db import models


class SourceSymbol(models.Model):
    """A symbol and the one source that it is fetched from. Rows of two sources of one symbol would make one false bar.

    name: the symbol's at the source. is_fed: whether a feed keeps it current. fed_timeframe: the length of the bars that it
    feeds; "" for trades, where the source can give them again.
    """

    symbol = models.CharField(max_length=32, unique=True)
    source = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    is_fed = models.BooleanField(default=False)
    fed_timeframe = models.CharField(max_length=8, default="", blank=True)

    def __str__(self) -> str:
        return f"{self.symbol}: {self.name} of {self.source}"


class FetchedLog(models.Model):
    """Rows that are fetched of a symbol: `fetch` without arguments brings each of these up to now.

    dataset: the name of a dataset. resolution: of bars, else "". start_ns: from when on rows are wanted, nanoseconds UTC.
    """

    source_symbol = models.ForeignKey(SourceSymbol, on_delete=models.CASCADE, related_name="logs")
    dataset = models.CharField(max_length=40)
    resolution = models.CharField(max_length=8, default="", blank=True)
    start_ns = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source_symbol", "dataset", "resolution"], name="fetched_log_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset} {self.resolution}".rstrip()


class ToldFeed(models.Model):
    """What webhooks were told of a feed last, at first that it is up.

    changed_at: since when the feed is otherwise; None while it is as it was told.
    """

    symbol = models.CharField(max_length=32, unique=True)
    is_down = models.BooleanField(default=False)
    changed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.symbol}: {'down' if self.is_down else 'up'}"
