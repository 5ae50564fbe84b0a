"""Signatures as Standard Webhooks has them (https://www.standardwebhooks.com), and the secrets for them."""

import secrets
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from standardwebhooks import Webhook as Signer

from web.sealing import decrypted, derived_key, encrypted

_LABEL, _CALLBACK_LABEL = b"marketdata webhook secrets 1", b"marketdata callback secret 1 "
_PREFIX, _BYTES = "whsec_", 32


def new_secret() -> str:
    """Return a random secret: `whsec_` and base64."""
    return _text_of(secrets.token_bytes(_BYTES))


def callback_secrets(subject: str) -> list[str]:
    """Return the secrets of the callbacks of a subject: the one that clients are given, and those of former SECRET_KEYs."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [_text_of(derived_key(str(key), label=_CALLBACK_LABEL + subject.encode())) for key in keys]


def _text_of(secret: bytes) -> str:
    return _PREFIX + b64encode(secret).decode()


def sealed_secret(secret: str) -> str:
    """Return a secret as the database has it."""
    return encrypted(secret.encode(), label=_LABEL)


def opened_secret(sealed: str) -> str | None:
    """Return a secret of the database; None if SECRET_KEY has changed."""
    secret = decrypted(sealed, label=_LABEL)
    return None if secret is None else secret.decode()


def signed_headers(event_id: str, body: bytes, *, at: datetime, of: Iterable[str]) -> dict[str, str]:
    """Return the headers of a call. of: the secrets, each of which makes a signature."""
    text = body.decode()
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(event_id, at, text) for secret in of),
    }
