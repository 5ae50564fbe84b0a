"""What the strategies of the engine remember."""

from django.db import models

from trading.models import Account


class StrategyMemory(models.Model):
    """What an account's strategy remembers, as of the places of the logs. It is written with them.

    assignment: the number of the event that assigned the strategy. body: a `LiveMemory`, as JSON.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="+")
    assignment = models.BigIntegerField()
    body = models.TextField()

    class Meta:
        verbose_name_plural = "strategy memories"

    def __str__(self) -> str:
        return f"{self.account_id} {self.assignment}"
