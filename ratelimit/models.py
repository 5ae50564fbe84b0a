"""Credentials and their grants; and what must not be lost with Redis: known addresses, used nonces, quotas."""

from datetime import datetime

from django.conf import settings
from django.db import models

STATES = ("active", "expired", "revoked")


class Entitlement(models.Model):
    """The grants of a credential: what its caller may do, and how much."""

    tier = models.CharField(max_length=20, default="default")
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests per second instead of the tier's."
    )
    trading_rate = models.PositiveIntegerField(
        null=True, blank=True, help_text="Trading calls per second instead of the default."
    )
    daily_quota = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Tokens per UTC day instead of the tier's; 0: unlimited."
    )
    monthly_quota = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Tokens per UTC month instead of the tier's; 0: unlimited."
    )
    scopes = models.JSONField(default=list)
    accounts = models.JSONField(default=list, help_text="Accounts by id; * is every account.")
    sensitivity = models.CharField(
        max_length=20, default="internal", help_text="The most sensitive data that may be read."
    )
    networks = models.JSONField(
        default=list, help_text="Networks to call from; an empty list allows every address."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def state_at(self, now: datetime) -> str:
        """Return the credential's state at an instant, one of STATES."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class ApiKey(Entitlement):
    """An API key. Only its SHA-256 is stored, and that of the key that it replaced by rotation."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=8, db_index=True)
    digest = models.CharField(max_length=64, unique=True)
    old_digest = models.CharField(  # noqa: DJ001 unique, like `certificate`
        max_length=64, null=True, unique=True, help_text="The digest of the key before the last rotation."
    )
    overlap_until = models.DateTimeField(
        null=True, blank=True, help_text="When the key before the last rotation ends; empty: never rotated."
    )
    created_at = models.DateTimeField()
    owner = models.CharField(
        max_length=100,
        default="",
        blank=True,
        help_text="`Caller.identity` of the caller who created the key; empty: an operator.",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To within a minute.")
    signed_only = models.BooleanField(
        default=False, help_text="Whether only signed requests are accepted, never the bare key."
    )
    certificate = models.CharField(
        max_length=64,
        null=True,
        blank=True,
        unique=True,
        help_text="SHA-256 of the client certificate (DER) that authenticates as this key, in hexadecimal.",
    )
    before_expiry = models.CharField(
        max_length=10,
        choices=[("warn", "warn"), ("rotate", "rotate")],
        default="warn",
        help_text="What the worker does before the key expires.",
    )
    warned_at = models.DateTimeField(null=True, blank=True)
    lifetime = models.DurationField(
        null=True,
        blank=True,
        help_text="How long a rotation lets the key live; empty: as long as from its creation to its expiry.",
    )

    class Meta:
        ordering = ("id",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class AccessProfile(Entitlement):
    """The grants of a person. Superusers need none: they may do everything."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="access_profile"
    )

    def __str__(self) -> str:
        return f"access of {self.user}"


class TokenSession(models.Model):
    """A login by password or key, or an OAuth2 grant. Its tokens, which are not stored, are accepted until it ends."""

    id = models.CharField(max_length=32, primary_key=True)
    identity = models.CharField(max_length=100, help_text="`Caller.identity`.")
    secret = models.CharField(max_length=64, help_text="The digest of the person's password or of the key.")
    refresh_id = models.CharField(
        max_length=32, default="", help_text="The id of the only valid refresh token; empty for OAuth2."
    )
    scopes = models.JSONField(null=True, help_text="The scopes of an OAuth2 token; null: all of the key's.")
    began_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True, help_text="When the newest token expires.")
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"session of {self.identity}"


class KnownAddress(models.Model):
    """An address (of IPv6 a /64) from which a person has logged in with the password."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="known_addresses"
    )
    address = models.CharField(max_length=64)
    last_login_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "address"], name="known_address_once")]

    def __str__(self) -> str:
        return f"{self.user} at {self.address}"


class UsedNonce(models.Model):
    """A used nonce of a signed request. Until it expires, a request of the same caller with this nonce is a replay."""

    identity = models.CharField(max_length=100)
    nonce = models.CharField(max_length=128)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity", "nonce"], name="nonce_once")]

    def __str__(self) -> str:
        return f"{self.identity} {self.nonce}"


class QuotaUse(models.Model):
    """How many tokens of a caller's quota were used in a period: `booked`, written once a minute.

    `identity` is `Caller.identity`. `period` is a UTC day (2026-11-20) or month (2026-11).
    """

    identity = models.CharField(max_length=100)
    period = models.CharField(max_length=10)
    booked = models.PositiveBigIntegerField(default=0)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity", "period"], name="quota_once")]

    def __str__(self) -> str:
        return f"{self.identity} {self.period}: {self.booked}"
