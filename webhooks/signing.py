"""Calls as Standard Webhooks has them (https://www.standardwebhooks.com), and the secrets that sign them."""

import secrets
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime

import msgspec
from django.conf import settings
from standardwebhooks import Webhook as Signer

from store.instant_text import format_instant
from web.sealing import decrypted, derived_key, encrypted
from webhooks.models import Webhook, WebhookEvent

_LABEL, _CALLBACK_LABEL = b"marketdata webhook secrets 1", b"marketdata callback secret 1 "
_BYTES = 32


def new_secret() -> str:
    """Return a random secret: `whsec_` and base64."""
    return _text_of(secrets.token_bytes(_BYTES))


def sealed_secret(secret: str) -> str:
    """Return a secret as the database has it."""
    return encrypted(secret.encode(), label=_LABEL)


def webhook_secrets(webhook: Webhook, *, now: datetime) -> list[str]:
    """Return the secrets of a webhook's calls. Those that cannot be decrypted are left out. A callback's has none."""
    is_overlap = webhook.old_secret_until is not None and webhook.old_secret_until > now
    sealed = [webhook.secret, webhook.old_secret] if is_overlap else [webhook.secret]
    return [secret.decode() for each in sealed if (secret := decrypted(each, label=_LABEL)) is not None]


def callback_secrets(subject: str) -> list[str]:
    """Return the secrets of the callbacks of a subject: the one that clients are given, and those of former SECRET_KEYs."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [_text_of(derived_key(str(key), label=_CALLBACK_LABEL + subject.encode())) for key in keys]


def _text_of(secret: bytes) -> str:
    return f"whsec_{b64encode(secret).decode()}"


def event_id(event: WebhookEvent) -> str:
    """Return the `webhook-id`: the same in all calls for the event."""
    return f"evt_{event.uuid.hex}"


def signed_request(event: WebhookEvent, of: Iterable[str], *, now: datetime) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a call. of: the secrets, each of which makes a signature."""
    body = msgspec.json.encode(
        {"type": event.kind, "timestamp": format_instant(event.created_at), "data": event.data}
    )
    signatures = [Signer(secret).sign(event_id(event), now, body.decode()) for secret in of]
    return body, {
        "content-type": "application/json",
        "webhook-id": event_id(event),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
