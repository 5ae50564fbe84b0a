"""The caller of a signed request: HTTP Message Signatures (RFC 9421), hmac-sha256.

The headers are verified before the body is read; the body, which a digest covers (RFC 9530), after it. The library makes the signature base and compares; here is what
this API asks for beyond that: what a signature covers, how old it is, and that it was not used before.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature as CryptographyInvalidSignature
from django.conf import settings
from http_message_signatures import (
    ContentDigest,
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    VerifyResult,
)
from http_message_signatures.algorithms import HMAC_SHA256

from http_requests.received import ReceivedCall
from ratelimit.callers import Caller
from ratelimit.credentials.signatures.nonces import nonce_use
from ratelimit.exceptions import DigestMismatch, InvalidSignature, SignatureExpired
from ratelimit.keys.selectors import KnownKey, caller_of_key, key_used, known_keys
from ratelimit.keys.signing_secrets import signing_secrets

# How far a client's clock may be ahead.
AHEAD_SECONDS = 5
NONCE_LENGTHS = range(16, 129)
# The parser is written in Python; nobody's list of components is that long.
LONGEST_HEADER = 2_048
# Their signatures cover a digest also of an empty body.
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# Headers that change what a request does: a signature covers those that are sent.
COVERED_IF_SENT = ("content-type", "idempotency-key")
_DIGEST = "content-digest"
_TARGET = ("@target-uri",)
_TARGET_IN_PARTS = ("@scheme", "@authority", "@path", "@query")
# Of keys that are unknown: to find out that one is takes as long and says as much as a wrong signature.
_NOBODYS_SECRET = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A request as the library takes it; `url` as it was sent."""

    method: str
    url: str
    headers: Mapping[str, str]


class AnyOfSecrets(HMAC_SHA256):
    """hmac-sha256 by whichever of several secrets: `public_key` holds them all."""

    def __init__(self, public_key: Sequence[bytes]) -> None:
        self._each = [_hmac_of(secret) for secret in public_key]

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises the library's InvalidSignature, the last secret's, where none is right."""
        for hmac in self._each[:-1]:
            with suppress(CryptographyInvalidSignature):
                hmac.verify(signature, message)
                return
        self._each[-1].verify(signature, message)


class SigningKeys(HTTPSignatureKeyResolver):
    """The keys of this installation by their prefixes; `known` is the one that was asked for last."""

    known: KnownKey | None = None

    def resolve_public_key(self, key_id: str) -> Sequence[bytes]:
        self.known = known_keys.find(key_id, by="prefix")
        if self.known is None:
            return (_NOBODYS_SECRET,)
        return [secret.encode() for secret in signing_secrets(self.known.digest)]


class RequestVerifier(HTTPMessageVerifier):
    """The library's verifier, at the time `now`."""

    def __init__(self, *, key_resolver: HTTPSignatureKeyResolver, now: datetime) -> None:
        super().__init__(signature_algorithm=AnyOfSecrets, key_resolver=key_resolver)
        self._now = now.timestamp()

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        """Raises SignatureExpired outside of the window, InvalidSignature without `created`."""
        params = sig_input.params
        if "created" not in params:
            raise InvalidSignature("the signature has no created")
        age = self._now - params["created"]
        if not -AHEAD_SECONDS <= age <= settings.SIGNATURE_WINDOW_SECONDS:
            raise SignatureExpired(
                f"created is not within the last {settings.SIGNATURE_WINDOW_SECONDS} seconds of the server's clock"
            )
        if "expires" in params and self._now >= params["expires"]:
            raise SignatureExpired("the signature has expired")


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature over a call's headers that is right; the body's digest and the nonce are still to be looked at.

    `key_prefix` names the key that made it. `useless_at` is when no signature with its nonce holds any more.
    `is_used`: whether the nonce was used up in this call.
    """

    key_prefix: str
    covered_components: Mapping[str, str]
    nonce: str
    useless_at: datetime
    is_used: bool = False


def signature_verified(call: ReceivedCall, *, now: datetime) -> VerifiedSignature:
    """The signature of a call, as far as its headers go: made by a key, of these days, covering enough.

    Raises InvalidSignature, SignatureExpired.
    """
    keys = SigningKeys()
    message = message_of(call)
    signature = verified(message, key_resolver=keys, now=now)
    check_headers_covered(message, signature)
    nonce = _nonce_in(signature)
    if keys.known is None:
        raise InvalidSignature("the signature is not right")
    key_prefix = str(signature.parameters["keyid"])
    return VerifiedSignature(key_prefix, signature.covered_components, nonce, _useless_at(signature))


def signer_of(signature: VerifiedSignature, *, now: datetime) -> Caller:
    """The caller whose key made a verified signature.

    Raises InvalidSignature where the key is gone, RevokedApiKey, ExpiredApiKey.
    """
    known = known_keys.find(signature.key_prefix, by="prefix")
    if known is None:
        raise InvalidSignature("the signature is not right")
    return replace(caller_of_key(known, now=now), credential="signature")


def nonce_used(signature: VerifiedSignature, *, identity: str) -> VerifiedSignature:
    """The signature, its nonce used up in the name of its key's `identity`, once in a call. Raises NonceUsed."""
    if signature.is_used:
        return signature
    nonce_use(identity=identity, nonce=signature.nonce, useless_at=signature.useless_at)
    return replace(signature, is_used=True)


def signature_completed(
    signature: VerifiedSignature, call: ReceivedCall, body: bytes, *, identity: str, now: datetime
) -> None:
    """Hold a verified signature against the body, and use up its nonce if it was not.

    Raises InvalidSignature, DigestMismatch, NonceUsed.
    """
    check_body_covered(message_of(call), signature.covered_components, body)
    nonce_used(signature, identity=identity)
    known = known_keys.find(signature.key_prefix, by="prefix")
    if known is not None:
        key_used(known, now=now)


def _hmac_of(secret: bytes) -> HMAC_SHA256:
    return HMAC_SHA256(shared_secret=secret)  # type: ignore[no-untyped-call]  # without types


def message_of(call: ReceivedCall) -> SignedMessage:
    """What a signature of the call covers."""
    query = f"?{call.query}" if call.query else ""
    url = f"{call.scheme}://{call.host}{call.target}{query}"
    return SignedMessage(method=call.method, url=url, headers=call.headers)


def verified(
    message: SignedMessage, *, key_resolver: HTTPSignatureKeyResolver, now: datetime
) -> VerifyResult:
    """The one signature of a message, which is right and of these days.

    What it covers is still to be looked at. Raises InvalidSignature, SignatureExpired.
    """
    if any(len(message.headers.get(name, "")) > LONGEST_HEADER for name in ("signature", "signature-input")):
        raise InvalidSignature(f"the signature's headers are longer than {LONGEST_HEADER} characters")
    try:
        return RequestVerifier(key_resolver=key_resolver, now=now).verify(message)[0]
    except HTTPMessageSignaturesException as error:
        raise InvalidSignature(f"the signature is not right: {error}") from None


def check_headers_covered(message: SignedMessage, signature: VerifyResult) -> None:
    """Whether a signature covers all of the headers that decide what a request does, a digest of its body included.

    Raises InvalidSignature.
    """
    _check_components(message, signature)
    if _needs_digest(message) and not any(
        component.startswith(f'"{_DIGEST}"') for component in signature.covered_components
    ):
        raise _digest_not_covered()


def check_body_covered(message: SignedMessage, covered_components: Mapping[str, str], body: bytes) -> None:
    """Whether the digest that a signature covers is that of the body. Raises InvalidSignature, DigestMismatch."""
    try:
        is_covered = ContentDigest.verify_components(covered_components, body)
    except HTTPMessageSignaturesException as error:
        raise DigestMismatch(f"content-digest is not that of the body: {error}") from None
    if (body or _needs_digest(message)) and not is_covered:
        raise _digest_not_covered()


def _needs_digest(message: SignedMessage) -> bool:
    return message.method in WITH_BODY or _DIGEST in message.headers


def _digest_not_covered() -> InvalidSignature:
    return InvalidSignature(f"the signature does not cover {_DIGEST}")


def _check_components(message: SignedMessage, signature: VerifyResult) -> None:
    def covers(names: Sequence[str]) -> bool:
        # Without parameters: those of the library's serialization would follow the quotes.
        return all(f'"{name}"' in signature.covered_components for name in names)

    if not covers(("@method",)) or not (covers(_TARGET) or covers(_TARGET_IN_PARTS)):
        raise InvalidSignature(
            "the signature does not cover @method and @target-uri (or @scheme, @authority, @path and @query)"
        )
    for name in COVERED_IF_SENT:
        if message.headers.get(name) and not covers((name,)):
            raise InvalidSignature(
                f"the request has the header {name}, and the signature does not cover {name}"
            )


def _nonce_in(signature: VerifyResult) -> str:
    nonce = signature.nonce or ""
    if len(nonce) not in NONCE_LENGTHS:
        raise InvalidSignature(
            f"the signature needs a nonce of {NONCE_LENGTHS.start} to {NONCE_LENGTHS.stop - 1} characters"
        )
    return nonce


def _useless_at(signature: VerifyResult) -> datetime:
    created = datetime.fromtimestamp(int(signature.parameters["created"]), UTC)
    return created + timedelta(seconds=settings.SIGNATURE_WINDOW_SECONDS)
