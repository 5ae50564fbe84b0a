"""The strategies that run."""

from django.db import models

from trading.models import Account


class RunningStrategy(models.Model):
    """The strategy that runs for an account, and what its process must know to go on.

    assignment: the number of the event that assigned it. state: its `State` as JSON; empty until it was shown something.
    shown_ns: bars were shown up to this instant. number: of the account's last event that it was told of. timers: when it
    is to be woken, nanoseconds UTC. saves: how often the row was saved, so that one of two processes can save it.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="+")
    assignment = models.BigIntegerField()
    state = models.TextField(default="")
    shown_ns = models.BigIntegerField()
    number = models.BigIntegerField()
    timers = models.JSONField(default=list)
    saves = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.account_id} {self.assignment}"
