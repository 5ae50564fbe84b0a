"""The stored answers of requests with an Idempotency-Key."""

from django.db import models


class SealedAnswer(models.Model):
    """The answer to a POST with an Idempotency-Key, stored for a day.

    `sealed` is the answer, encrypted with a key derived from SECRET_KEY because it may contain secrets; it is empty
    until the answer is made. `identity` is `Caller.identity`.
    """

    identity = models.CharField(max_length=100)
    path = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=64, help_text="SHA-256 of it, in hex.")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the body and the query.")
    sealed = models.TextField(default="")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["identity", "path", "idempotency_key"], name="sealed_answer_once")
        ]

    def __str__(self) -> str:
        return f"{self.identity} {self.path}"
