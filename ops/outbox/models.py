"""The table of events."""

from django.db import models


class Event(models.Model):
    """An event of the database: a row that is written in the transaction of the change that it tells.

    `kind` is a name such as `job.ended`. `subject` is the changed object, such as `job:5f0c…`. `owner` is the
    `Caller.principal` that may learn of it; "" for operators only. `payload` is a JSON document without secrets.
    `is_sent` tells whether it was delivered. A flag and not a position: of two transactions, the one with
    the smaller id may commit last.
    """

    kind = models.CharField(max_length=50)
    subject = models.CharField(max_length=100)
    owner = models.CharField(max_length=100, default="")
    payload = models.JSONField(default=dict)
    at = models.DateTimeField(db_index=True)
    is_sent = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(is_sent=False), name="outbox_unsent")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
