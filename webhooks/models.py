"""The tables of webhooks: events, webhooks, and a delivery for each event that a webhook gets."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone

ACTIVE, PAUSED = "active", "paused"
STATES = (ACTIVE, PAUSED)
PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"
DELIVERY_STATES = (PENDING, DELIVERED, FAILED)
# Why a webhook is paused: by its owner, after it failed for long, after a 410, because its owner has no valid
# credential any more, because its secret cannot be decrypted.
BY_OWNER, FAILING, GONE = "by_owner", "failing", "gone"
OWNER_ENDED, SECRET_LOST = "owner_ended", "secret_lost"
_PENDING = Q(state=PENDING)


class WebhookEvent(models.Model):
    """What has happened, written in the transaction in which it happened.

    `kind` is one of EVENT_KINDS, `subject` what it happened to: `job:<uuid>`, `account:<name>`. Events of one subject are sent in their
    order. `owner` is the only `Caller.identity` that is told, "" for all who may see it. `account`, `symbol`: whose it
    is, "" for none. `correlation_id` is of the call that it follows from. `fanned_out_at` is when its deliveries were made. A cursor over ids would pass an event whose
    transaction commits after those of later ids.
    """

    uuid = models.UUIDField(unique=True, default=uuid4, editable=False)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    owner = models.CharField(max_length=100, default="")
    account = models.CharField(max_length=64, default="")
    symbol = models.CharField(max_length=32, default="")
    correlation_id = models.CharField(max_length=128, default="")
    data = models.JSONField()
    created_at = models.DateTimeField(db_index=True)
    fanned_out_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "event"
        indexes = [models.Index(fields=["id"], condition=Q(fanned_out_at=None), name="webhook_event_new")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class Webhook(models.Model):
    """A receiver.

    `owner` is the `Caller.identity` that made it. `accounts`, `symbols`: of events that
    have such, only those; [] for all. `secret` is encrypted, `old_secret` is used beside it until `old_secret_until`.

    `failing_since` is when the first call after the last success failed; none is made before `retry_at`. `is_slow`: the last
    calls failed or took long, or there was none. The process that wrote `leased_until` sends its deliveries, until then.

    `is_callback`: it stands for the origin of the callback URLs of the owner's jobs. Its owner does not see it.
    """

    uuid = models.UUIDField(unique=True, default=uuid4, editable=False)
    owner = models.CharField(max_length=100)
    url = models.TextField()
    kinds = models.JSONField(default=list)
    accounts = models.JSONField(default=list)
    symbols = models.JSONField(default=list)
    secret = models.TextField(default="")
    old_secret = models.TextField(default="")
    old_secret_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, default=ACTIVE)
    paused_because = models.CharField(max_length=20, default="")
    failing_since = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    is_slow = models.BooleanField(default=True)
    leased_until = models.DateTimeField(default=timezone.now)
    is_callback = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["owner", "id"], name="webhook_owner")]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "url"], condition=Q(is_callback=True), name="webhook_callback_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.owner} {self.uuid}"


class Delivery(models.Model):
    """An event for a webhook.

    `url`: of a callback; "" for the webhook's. `subject`: of the event. `attempts` counts the calls since it was made or
    replayed; the next is at `next_at` or later. `status`, `error`, `latency_ms`, `answer`: of the last call; status is None
    without an answer.
    """

    uuid = models.UUIDField(unique=True, default=uuid4, editable=False)
    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="deliveries")
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    url = models.TextField(default="")
    subject = models.CharField(max_length=200)
    state = models.CharField(max_length=10, default=PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=200, default="")
    latency_ms = models.PositiveIntegerField(null=True)
    answer = models.TextField(default="")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(
                fields=["webhook", "subject", "event"], condition=_PENDING, name="webhook_delivery_turn"
            ),
            models.Index(fields=["webhook", "next_at"], condition=_PENDING, name="webhook_delivery_due"),
            models.Index(fields=["webhook", "id"], name="webhook_delivery_log"),
        ]
        constraints = [models.UniqueConstraint(fields=["event", "webhook"], name="webhook_delivery_once")]

    def __str__(self) -> str:
        return f"{self.subject} {self.state}"


ARMED, FIRED = "armed", "fired"
ALERT_STATES = (ARMED, FIRED)
LEVEL, MOVE, SILENCE = "level", "move", "silence"
ALERT_CONDITIONS = (LEVEL, MOVE, SILENCE)
ABOVE, BELOW = "above", "below"
DIRECTIONS = (ABOVE, BELOW)


class MarketAlert(models.Model):
    """An alert of a symbol's trades. It fires once, and again after it was armed anew.

    `owner` is the `Caller.identity`. `direction`: one of DIRECTIONS; "" for
    both. `value`: a price, or per cent. `seconds`: the window of a move, the length of a silence. `commit`: of the log of trades,
    up to which it was looked at. `fired`: what it fired by.
    """

    uuid = models.UUIDField(unique=True, default=uuid4, editable=False)
    owner = models.CharField(max_length=100)
    symbol = models.CharField(max_length=32)
    kind = models.CharField(max_length=10)
    direction = models.CharField(max_length=10, default="")
    value = models.FloatField(null=True)
    seconds = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=10, default=ARMED)
    armed_at = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)
    fired = models.JSONField(null=True)
    commit = models.BigIntegerField(default=0)
    commit_hash = models.CharField(max_length=64, default="")
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "id"], name="webhook_alert_owner"),
            models.Index(fields=["symbol"], condition=Q(state=ARMED), name="webhook_alert_armed"),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.kind}"
