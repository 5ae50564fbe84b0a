"""Signed requests: HTTP Message Signatures (RFC 9421) with hmac-sha256, and used nonces.

The signature over the headers is verified before the body is read, the body's digest (RFC 9530) afterwards. The
library computes the signature base and compares the signature. This module checks coverage, age and nonce. Used
nonces are stored in the database, so that they survive a restart and the loss of Redis.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature as CryptographyInvalidSignature
from django.conf import settings
from django.db import IntegrityError, transaction
from http_message_signatures import (
    ContentDigest,
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    VerifyResult,
)
from http_message_signatures.algorithms import HMAC_SHA256

from ratelimit.callers import Caller
from ratelimit.exceptions import DigestMismatch, InvalidSignature, NonceUsed, SignatureExpired
from ratelimit.keys.api_keys import signing_secrets
from ratelimit.keys.selectors import caller_of_key, key_cache, key_used, key_with_prefix
from ratelimit.models import UsedNonce
from web.requests.received import ReceivedCall

# Nonces are stored this much longer than their signatures are valid. So no replay is accepted if the clock of this
# process, or of the one that deletes nonces, is wrong by less.
KEPT_LONGER = timedelta(hours=1)
# The most nonces that one call deletes.
MOST_AT_ONCE = 5_000
# A client's clock may be ahead by this much.
AHEAD_SECONDS = 5
NONCE_LENGTHS = range(16, 129)
# The longest signature header, in characters. It limits the time of the parser, which is written in Python. Real
# headers are far shorter.
MAX_HEADER_LENGTH = 2_048
# Signatures of requests with these methods must cover the body's digest, even if the body is empty.
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# Headers that change what a request does must be covered if they are sent.
COVERED_IF_SENT = ("content-type", "idempotency-key")
_DIGEST = "content-digest"
_DIGEST_NOT_COVERED = f"the signature does not cover {_DIGEST}"
_TARGET = ("@target-uri",)
_TARGET_IN_PARTS = ("@scheme", "@authority", "@path", "@query")


class AnyOfSecrets(HMAC_SHA256):
    """hmac-sha256 that accepts any of several secrets, those of the SigningKeys given as `public_key`."""

    def __init__(self, public_key: "SigningKeys") -> None:
        self._keys = public_key

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise CryptographyInvalidSignature unless one of the secrets made the signature."""
        for secret, key_digest in self._keys.secrets.items():
            with suppress(CryptographyInvalidSignature):
                HMAC_SHA256(shared_secret=secret).verify(signature, message)  # type: ignore[no-untyped-call]  # without types
                self._keys.key_digest = key_digest
                return
        raise CryptographyInvalidSignature


class SigningKeys(HTTPSignatureKeyResolver):
    """The signing secrets of a key, found by its prefix. `key_digest`: whose secret made the signature; "" if nobody's."""

    def __init__(self) -> None:
        self.key_digest = ""
        # Of an unknown key, so that a request with one takes as long as a wrong signature, and gets the same answer.
        self.secrets = {secrets.token_bytes(32): ""}

    def resolve_public_key(self, key_id: str) -> "SigningKeys":
        key = key_with_prefix(key_id)
        if key is not None:
            self.secrets = {
                secret.encode(): digest for digest in key.digests for secret in signing_secrets(digest)
            }
        return self


class RequestVerifier(HTTPMessageVerifier):
    """The library's verifier with our limits for a signature's age at `now`."""

    def __init__(self, *, key_resolver: HTTPSignatureKeyResolver, now: datetime) -> None:
        super().__init__(signature_algorithm=AnyOfSecrets, key_resolver=key_resolver)
        self._now = now.timestamp()

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        """Raise SignatureExpired if the signature is too old or too early, InvalidSignature without `created`."""
        params = sig_input.params
        if "created" not in params:
            raise InvalidSignature("the signature has no parameter created; add the time of signing")
        age = self._now - params["created"]
        if not -AHEAD_SECONDS <= age <= settings.SIGNATURE_WINDOW_SECONDS:
            raise SignatureExpired(
                f"created is not within the last {settings.SIGNATURE_WINDOW_SECONDS} seconds of the server's clock; sign again"
            )
        if "expires" in params and self._now >= params["expires"]:
            raise SignatureExpired("the signature has expired; sign again")


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A valid signature over a call's headers. The body's digest and the nonce are checked later.

    `key_digest` is of the key that signed. Signatures with this nonce are invalid after `useless_at`. `is_used` tells
    whether this call has already used the nonce.
    """

    key_digest: str
    covered_components: Mapping[str, str]
    nonce: str
    useless_at: datetime
    is_used: bool = False


def signature_verified(call: ReceivedCall, *, now: datetime) -> VerifiedSignature:
    """Verify the signature over a call's headers: its HMAC, age and coverage.

    Raises InvalidSignature, SignatureExpired.
    """
    keys = SigningKeys()
    signature = verified(call, key_resolver=keys, now=now)
    check_headers_covered(call, signature)
    nonce = signature.nonce or ""
    if len(nonce) not in NONCE_LENGTHS:
        raise InvalidSignature(
            f"the signature needs a nonce of {NONCE_LENGTHS.start} to {NONCE_LENGTHS.stop - 1} characters"
        )
    if not keys.key_digest:
        raise InvalidSignature("the signature is not right")
    created = datetime.fromtimestamp(int(signature.parameters["created"]), UTC)
    return VerifiedSignature(
        key_digest=keys.key_digest,
        covered_components=signature.covered_components,
        nonce=nonce,
        useless_at=created + timedelta(seconds=settings.SIGNATURE_WINDOW_SECONDS),
    )


def signer_of(signature: VerifiedSignature, *, now: datetime) -> Caller:
    """Return the caller of the key that made a verified signature.

    Raises RevokedApiKey, ExpiredApiKey; InvalidSignature if the key no longer exists.
    """
    key = key_cache.find(signature.key_digest)
    if key is None:
        raise InvalidSignature("the signature is not right")
    return replace(caller_of_key(key, now=now), credential="signature")


def with_nonce_used(signature: VerifiedSignature, *, identity: str) -> VerifiedSignature:
    """Use the nonce for the key `identity`, unless this call has already used it.

    Returns the signature with `is_used` set. Raises NonceUsed.
    """
    if signature.is_used:
        return signature
    nonce_use(identity=identity, nonce=signature.nonce, useless_at=signature.useless_at)
    return replace(signature, is_used=True)


def check_signed_body(
    signature: VerifiedSignature, call: ReceivedCall, body: bytes, *, identity: str, now: datetime
) -> None:
    """Check the body against a verified signature, and use the nonce unless this call has already used it.

    Raises InvalidSignature, DigestMismatch, NonceUsed.
    """
    check_body_covered(call, signature.covered_components, body)
    with_nonce_used(signature, identity=identity)
    key = key_cache.find(signature.key_digest)
    if key is not None:
        key_used(key, now=now)


def verified(call: ReceivedCall, *, key_resolver: HTTPSignatureKeyResolver, now: datetime) -> VerifyResult:
    """Verify a call's only signature and its age; coverage is checked later.

    Raises InvalidSignature, SignatureExpired.
    """
    if any(len(call.headers.get(name, "")) > MAX_HEADER_LENGTH for name in ("signature", "signature-input")):
        raise InvalidSignature(f"the signature's headers are longer than {MAX_HEADER_LENGTH} characters")
    try:
        return RequestVerifier(key_resolver=key_resolver, now=now).verify(call)[0]
    except HTTPMessageSignaturesException as error:
        raise InvalidSignature(f"the signature is not right: {error}") from None


def check_headers_covered(call: ReceivedCall, signature: VerifyResult) -> None:
    """Raise InvalidSignature unless the signature covers every component that decides what the request does."""

    def covers(names: Sequence[str]) -> bool:
        # A component with parameters does not count: the library writes them after the closing quote.
        return all(f'"{name}"' in signature.covered_components for name in names)

    if not covers(("@method",)) or not (covers(_TARGET) or covers(_TARGET_IN_PARTS)):
        raise InvalidSignature(
            "the signature does not cover @method and @target-uri (or @scheme, @authority, @path and @query)"
        )
    for name in COVERED_IF_SENT:
        if call.headers.get(name) and not covers((name,)):
            raise InvalidSignature(
                f"the request has the header {name}, and the signature does not cover {name}"
            )
    # The digest may have parameters, such as `req`.
    components = signature.covered_components
    if _needs_digest(call) and not any(name.startswith(f'"{_DIGEST}"') for name in components):
        raise InvalidSignature(_DIGEST_NOT_COVERED)


def check_body_covered(call: ReceivedCall, covered_components: Mapping[str, str], body: bytes) -> None:
    """Check the body against the covered digest. Raises InvalidSignature, DigestMismatch."""
    try:
        is_covered = ContentDigest.verify_components(covered_components, body)
    except HTTPMessageSignaturesException as error:
        raise DigestMismatch(f"content-digest does not match the body: {error}") from None
    if (body or _needs_digest(call)) and not is_covered:
        raise InvalidSignature(_DIGEST_NOT_COVERED)


def _needs_digest(call: ReceivedCall) -> bool:
    return call.method in WITH_BODY or _DIGEST in call.headers


def nonce_use(*, identity: str, nonce: str, useless_at: datetime) -> None:
    """Use a nonce. Raises NonceUsed if it was used before.

    useless_at: the time after which signatures with this nonce are invalid. A unique constraint decides between
    concurrent calls. The row is committed at once, even if the request fails later, so do not call this in a
    transaction.
    """
    try:
        with transaction.atomic(durable=True):
            UsedNonce.objects.create(identity=identity, nonce=nonce, expires_at=useless_at + KEPT_LONGER)
    except IntegrityError:
        raise NonceUsed("the nonce was used before; sign again with another one") from None


def nonces_delete_expired(*, now: datetime) -> int:
    """Delete at most MOST_AT_ONCE expired nonces. Returns how many; call it again for more."""
    expired = UsedNonce.objects.filter(expires_at__lt=now)
    if not expired.exists():
        return 0
    removed, _ = UsedNonce.objects.filter(pk__in=expired.values("pk")[:MOST_AT_ONCE]).delete()
    return removed
