"""Who calls: an API key, a token, or a key that signs."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

_COVERED = ("content-type", "idempotency-key")


class Credential(Protocol):
    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Return the headers that a request with these `headers` gets in addition.

        url: absolute and percent-encoded, as it is sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credential: for public pages only."""

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key `md_…`, sent with each request."""

    key: str = field(repr=False)

    def __post_init__(self) -> None:
        check_visible("key", self.key)

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        return {"X-API-Key": self.key}


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An access token of a person or a program."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        check_visible("token", self.token)

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs each request (docs/signatures.md), so that no secret is sent.

    key_id: the key's prefix, the 8 characters after `md_`. secret: `mds_…`.
    """

    key_id: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        check_visible("key_id", self.key_id)
        check_visible("secret", self.secret)

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        resolver = MappingKeyResolver(public_keys={}, private_keys={self.key_id: self.secret.encode()})
        signer = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver)
        message = _Message(method, url, dict(headers))
        sent = {name.lower() for name in headers}
        signer.sign(
            message,
            key_id=self.key_id,
            nonce=secrets.token_urlsafe(24),
            covered_component_ids=("@method", "@target-uri", *(name for name in _COVERED if name in sent)),
            # A digest is required of every POST, also without a body.
            body=body if body or method != "GET" else None,
        )
        return {name: value for name, value in message.headers.items() if name not in headers}


@dataclass(slots=True)
class _Message:
    method: str
    url: str
    headers: dict[str, str]


def check_visible(name: str, text: str) -> None:
    """Raise ValueError unless a text is of visible ASCII characters, at least one. The error does not show it."""
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError(f"{name} must be visible ASCII characters without spaces")
