"""OAuth2 clients: create, find, rotate the secret, revoke."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Unpack

from django.db import transaction
from django.db.models import Q, QuerySet
from oauth2_provider.models import AccessToken

from ratelimit.credentials.bearer import OAUTH2, client_identity, token_cache
from ratelimit.entitlements import caller_from, granted_document
from ratelimit.events import key_event
from ratelimit.exceptions import NotRotatable, UnknownClient
from ratelimit.keys.selectors import id_of
from ratelimit.keys.services import check_overlap
from ratelimit.keys.terms import KeyTerms, columns_of
from ratelimit.models import OAuthClient
from store.instant_text import format_instant

# In the format of API keys, so that log masking and secret scanners recognise client secrets, too.
SECRET_PREFIX = "md_oauth2cl_"  # noqa: S105 what all secrets begin with
_KEY_COLUMNS = ("signed_only", "certificate", "before_expiry")


@dataclass(frozen=True, slots=True)
class CreatedClient:
    """A client with its new secret, which is shown once, now."""

    stored: OAuthClient
    secret: str = field(repr=False)

    def document(self, *, now: datetime) -> dict[str, Any]:
        """Return the client, with its secret, as a document."""
        return {**client_document(self.stored, now=now), "client_secret": self.secret}


def client_create(
    *, now: datetime, actor: str, correlation_id: str = "", **terms: Unpack[KeyTerms]
) -> CreatedClient:
    """Create and store a client. Raises InvalidKeyRequest, UnknownTier, UnknownScope."""
    columns = columns_of(terms, now=now)
    secret = _new_secret()
    with transaction.atomic():
        # The library stores a hash of the secret.
        client = OAuthClient.objects.create(
            client_type=OAuthClient.CLIENT_CONFIDENTIAL,
            authorization_grant_type=OAuthClient.GRANT_CLIENT_CREDENTIALS,
            client_secret=secret,
            **{name: value for name, value in columns.items() if name not in _KEY_COLUMNS},
        )
        key_event(
            at=now,
            actor=actor,
            event="client.created",
            subject=client_identity(client),
            detail={"change": ({}, client_document(client, now=now))},
            correlation_id=correlation_id,
        )
    return CreatedClient(stored=client, secret=secret)


def client_rotate(
    *, client: OAuthClient, overlap: timedelta, now: datetime, actor: str, correlation_id: str = ""
) -> CreatedClient:
    """Give the client a new secret. The old one is accepted for `overlap`; its grants and expiry stay.

    With overlap 0 every older secret is refused, and the client's tokens are revoked, everywhere within a second.
    Raises InvalidKeyRequest; NotRotatable if the client is not valid, or if an overlap would end the secret before the
    last rotation earlier than promised.
    """
    check_overlap(overlap)
    secret = _new_secret()
    with transaction.atomic():
        stored: OAuthClient = OAuthClient.objects.select_for_update().get(pk=client.pk)
        _check_rotatable(stored, overlap=overlap, now=now)
        before = client_document(stored, now=now)
        if overlap:
            stored.old_secret, stored.old_secret_expires_at = stored.client_secret, now + overlap
        else:
            stored.old_secret, stored.old_secret_expires_at = "", None
            AccessToken.objects.filter(application=stored).delete()
        # The library stores a hash of the secret.
        stored.client_secret = secret
        stored.save(update_fields=["client_secret", "old_secret", "old_secret_expires_at"])
        key_event(
            at=now,
            actor=actor,
            event="client.rotated",
            subject=client_identity(stored),
            detail={"change": (before, client_document(stored, now=now))},
            correlation_id=correlation_id,
        )
    token_cache.forget(client_identity(stored))
    return CreatedClient(stored=stored, secret=secret)


def _check_rotatable(client: OAuthClient, *, overlap: timedelta, now: datetime) -> None:
    state = client.state_at(now)
    if state != "active":
        word = "was revoked" if state == "revoked" else "has expired"
        raise NotRotatable(f"the client {client.pk} {word}; create a new one")
    end = client.old_secret_expires_at
    if overlap and end is not None and now < end:
        raise NotRotatable(
            f"the secret before the last rotation of the client {client.pk} is valid until {format_instant(end)}; wait, "
            "or rotate with overlap 0, which ends all older secrets at once"
        )


def client_revoke(*, client: OAuthClient, now: datetime, actor: str, correlation_id: str = "") -> OAuthClient:
    """Revoke the client and its tokens, everywhere within a second. A second call changes nothing."""
    with transaction.atomic():
        stored: OAuthClient = OAuthClient.objects.select_for_update().get(pk=client.pk)
        if stored.revoked_at is None:
            before = client_document(stored, now=now)
            stored.revoked_at = now
            stored.save(update_fields=["revoked_at"])
            AccessToken.objects.filter(application=stored).delete()
            key_event(
                at=now,
                actor=actor,
                event="client.revoked",
                subject=client_identity(stored),
                detail={"change": (before, client_document(stored, now=now))},
                correlation_id=correlation_id,
            )
    token_cache.forget(client_identity(stored))
    return stored


def client_list() -> QuerySet[OAuthClient]:
    """Return all clients, oldest first."""
    return OAuthClient.objects.order_by("id")


def client_named(reference: str) -> OAuthClient:
    """Return the client with that number (`OAuthClient.pk`) or client id. Raises UnknownClient."""
    client = client_list().filter(Q(client_id=reference) | Q(pk=id_of(reference))).first()
    if client is None:
        raise UnknownClient(f"there is no client with the number or client id {reference[:64]!r}")
    return client


def client_document(client: OAuthClient, *, now: datetime) -> dict[str, Any]:
    """Return the client as a document, with its state at `now`, without its secret and the secret's hash."""
    caller = caller_from(client, identity=client_identity(client), name=str(client), credential=OAUTH2)
    return {
        "id": client.pk,
        "client_id": client.client_id,
        "name": client.name,
        "state": client.state_at(now),
        **granted_document(client, caller),
        "created_at": format_instant(client.created),
        "expires_at": format_instant(client.expires_at),
        "old_secret_expires_at": format_instant(client.old_secret_expires_at),
        "revoked_at": format_instant(client.revoked_at),
    }


def _new_secret() -> str:
    return SECRET_PREFIX + secrets.token_hex(32)
