from django.db import models


class ApiKey(models.Model):
    """A credential of a program. The key itself is not stored, only its SHA-256."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=8, db_index=True)
    digest = models.CharField(max_length=64, unique=True)
    tier = models.CharField(max_length=20)
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests per second instead of the tier's."
    )
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"
