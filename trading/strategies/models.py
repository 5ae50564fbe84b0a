"""Checkpoints of the strategies in the engine."""

from django.db import models

from trading.models import Account


class StrategyCheckpoint(models.Model):
    """Checkpoint of an account's strategy, saved in the transaction that saves the engine's places in the logs.

    assignment: the number of the event that assigned the strategy. body: a `LiveCheckpoint`, as JSON.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="+")
    assignment = models.BigIntegerField()
    body = models.TextField()

    def __str__(self) -> str:
        return f"{self.account_id} {self.assignment}"
