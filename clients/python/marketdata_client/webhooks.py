"""Verifies the calls of webhooks and callbacks (docs/webhooks.md)."""

from collections.abc import Mapping
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from marketdata_client.bodies import object_in
from marketdata_client.errors import BadSignature


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the event of a call: `type`, `timestamp`, `data`. Raises `BadSignature` if the call is not the server's, or older than five minutes.

    secret: `whsec_…` of the webhook, or the `callback_secret` of a job. body: as it came, before anything reads it.
    """
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise BadSignature(f"the call is not signed with this secret: {error}") from error
    return object_in(body)
