"""Requests signed as a client would, by the library's own signer."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from django.utils import timezone
from http_message_signatures import ContentDigest, HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256

from ratelimit.callers import Caller
from ratelimit.credentials.identify import complete_identity, identify
from ratelimit.credentials.signed_requests import COVERED_IF_SENT
from ratelimit.exceptions import CredentialError
from ratelimit.keys.api_keys import digest, signing_secret
from web.requests.received import ReceivedCall

COVERED = ("@method", "@target-uri")
HOST = "desk.example"
PATH = "/api/v1/trades/ingest"
QUERY = "unknown=ignore&x=%20"
BODY = b'{"trades": []}'
IN_PARTS = ("@method", "@scheme", "@authority", "@path", "@query")


class GivenDigest(ContentDigest):
    """Leaves a header that is there as it is, right or wrong, unless a body is given."""

    @classmethod
    def prepare(cls, headers: Any, body: bytes | None, *, use_existing_digest: bool) -> None:
        if body is not None:
            super().prepare(headers, body, use_existing_digest=use_existing_digest)


class Signer(HTTPMessageSigner):
    content_digest_class = GivenDigest


@dataclass
class Outgoing:
    """A request to sign: headers are added to it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def prefix_of(key: str) -> str:
    return key.split("_")[1]


def secret_of(key: str) -> str:
    """The signing secret of a key of this process's installation."""
    return signing_secret(digest(key))


def signed(
    method: str,
    url: str,
    *,
    key_id: str,
    secret: str,
    body: bytes | None = None,
    age: float = 0,
    nonce: str | None = "",
    covered: Sequence[str] | None = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> dict[str, str]:
    """The headers of a signed request, those given included; `age` in seconds, a nonce of "" is a random one.

    `covered` defaults to the method, the target and those of the given headers that have to be covered.
    """
    sent = {name.lower() for name in headers or {}}
    needed = (*COVERED, *(name for name in COVERED_IF_SENT if name in sent))
    message = Outgoing(method, url, dict(headers or {}))
    keys: dict[str, Any] = {key_id: secret.encode()}
    Signer(
        signature_algorithm=HMAC_SHA256,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys=keys),
    ).sign(
        message,
        key_id=key_id,
        created=datetime.fromtimestamp(time.time() - age, UTC),
        nonce=secrets.token_urlsafe(24) if nonce == "" else nonce,
        covered_component_ids=needed if covered is None else covered,
        body=body,
        **options,
    )
    return message.headers


class Arrived(NamedTuple):
    """A call and its body."""

    call: ReceivedCall
    body: bytes


def request(key: str, *, method: str = "POST", body: bytes = BODY, **options: Any) -> Arrived:
    """A signed request as it arrives."""
    return arrived(headers_for(key, method=method, body=body, **options), method=method, body=body)


def headers_for(
    key: str, *, method: str = "POST", body: bytes | None = BODY, **options: Any
) -> dict[str, str]:
    options = {"key_id": prefix_of(key), "secret": secret_of(key), "body": body, **options}
    return signed(method, f"https://{HOST}{PATH}?{QUERY}", **options)


def arrived(headers: dict[str, str], **changes: Any) -> Arrived:
    """A call as it is received, unchanged but for `changes`."""
    body = changes.pop("body", BODY)
    found: dict[str, Any] = {
        "method": "POST",
        "scheme": "https",
        "host": HOST,
        "path": PATH,
        "target": PATH,
        "query": QUERY,
        "address": "192.0.2.1",
        **changes,
    }
    lower = {name.lower(): value for name, value in headers.items()}
    return Arrived(ReceivedCall(headers=lower, **found), body)


def caller_signed(arrived: Arrived, *, now: datetime) -> Caller:
    """The caller of a signed call, its headers and then its body looked at."""
    identity = identify(arrived.call, now=now)
    assert identity is not None
    assert identity.signature is not None
    return complete_identity(identity, arrived.call, body=lambda: arrived.body, now=now)


def refusal(arrived: Arrived, *, now: datetime | None = None) -> str:
    """The code of the error with which a request is refused."""
    with pytest.raises(CredentialError) as caught:
        caller_signed(arrived, now=now or timezone.now())
    assert caught.value.code != "invalid_credentials"
    return caught.value.code
