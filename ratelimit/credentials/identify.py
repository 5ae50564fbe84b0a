"""Finds the credential in a request's headers, and its caller. The digest of a signed body is checked later."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ratelimit.callers import Caller
from ratelimit.credentials.bearer import caller_of_bearer, caller_of_bearer_now
from ratelimit.credentials.people import caller_of_person, person_of
from ratelimit.credentials.sessions import JWT, OAUTH2
from ratelimit.credentials.signed_requests import (
    VerifiedSignature,
    check_signed_body,
    signature_verified,
    signer_of,
    with_nonce_used,
)
from ratelimit.exceptions import (
    AmbiguousCredentials,
    CredentialError,
    InvalidApiKey,
    InvalidAuthorization,
    InvalidCertificate,
    InvalidToken,
    NetworkNotAllowed,
    SignatureRequired,
)
from ratelimit.keys.api_keys import SCHEME, digest, has_key, key_in_headers, prefix_of
from ratelimit.keys.selectors import (
    CachedKey,
    caller_of_key,
    key_cache,
    key_now,
    key_used,
)
from web.requests.received import ReceivedCall

API_KEY, BEARER, SIGNATURE, CERTIFICATE = "api_key", "bearer", "signature", "certificate"

_SCHEMES = {SCHEME.lower(): API_KEY, "basic": API_KEY, "bearer": BEARER}
# RFC 9110, 11.4: a scheme, spaces, and one credential, which here has neither spaces nor commas.
_AUTHORIZATION = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([^\s,]+)", re.ASCII)
# The proxy's value for a connection without a client certificate.
_NO_CERTIFICATE = "NONE"
# The value of nginx's $ssl_client_verify for a valid certificate.
VERIFIED = "SUCCESS"
MAX_CACHED_CERTIFICATES = 1_024
# The longest accepted header X-SSL-Client-Cert, in characters.
MAX_HEADER_LENGTH = 16_384


class Identity(NamedTuple):
    """The caller, authenticated by the headers. `complete_identity` still checks a `signature` against the body."""

    caller: Caller
    signature: VerifiedSignature | None = None


def identify(
    call: ReceivedCall, *, now: datetime, signature: VerifiedSignature | None = None
) -> Identity | None:
    """Authenticate a call by its headers. Returns None if it has no credential.

    `signature` is the call's signature, if it was already verified; then only its key is read again. Raises
    CredentialError, NetworkNotAllowed.
    """
    headers = call.headers
    authorization = headers.get("authorization")
    scheme, token = (None, "") if authorization is None else authorization_of(authorization)
    credential = _only_credential(headers, scheme)
    if credential is None:
        return None
    if credential == API_KEY:
        caller = _caller_of_key(headers, now=now)
    elif credential == SIGNATURE:
        signature = signature or signature_verified(call, now=now)
        caller = signer_of(signature, now=now)
    elif credential == CERTIFICATE:
        caller = caller_of_certificate(call, now=now)
    else:
        caller = caller_of_bearer(token, now=now)
    check_network(caller, call.address)
    return Identity(caller, signature)


def complete_identity(
    identity: Identity, call: ReceivedCall, *, body: Callable[[], bytes], now: datetime
) -> Caller:
    """Check the body of a signed call, use its nonce, and return the caller. Call it once per request.

    `body` returns the whole body; it is called for signed calls only. Raises InvalidSignature, DigestMismatch,
    NonceUsed.
    """
    if identity.signature is not None:
        check_signed_body(identity.signature, call, body(), identity=identity.caller.identity, now=now)
    return identity.caller


def caller_now(caller: Caller, call: ReceivedCall, *, now: datetime) -> Caller:
    """Return the caller of a call that was authenticated, as its credential is stored now, past the caches.

    A browser's session is read at each request anyway, and a token may have expired meanwhile. Raises CredentialError,
    NetworkNotAllowed.
    """
    kind, _, number = caller.identity.partition(":")
    if caller.credential == "session":
        return caller
    if kind == "key" and caller.credential not in (JWT, OAUTH2):
        key = _stored_key(number, digest=caller.key_digest, now=now)
        stored = replace(key, credential=caller.credential)
    else:
        _, token = authorization_of(call.headers["authorization"])
        stored = caller_of_bearer_now(token, now=now)
    check_network(stored, call.address)
    return stored


def caller_stored(identity: str, *, now: datetime) -> Caller:
    """Return the caller with that identity, with its grants as they are stored now: for work after the call's end.

    Raises CredentialError.
    """
    kind, _, number = identity.partition(":")
    if kind == "key":
        return _stored_key(number, now=now)
    user = person_of(number) if kind == "user" else None
    caller = None if user is None else caller_of_person(user, credential="session", now=now)
    if caller is None:
        raise InvalidToken
    return caller


def caller_if_valid(identity: str, *, now: datetime) -> Caller | None:
    """Return `caller_stored`; None if the caller has no valid credential any more."""
    try:
        return caller_stored(identity, now=now)
    except CredentialError:
        return None


def _stored_key(number: str, *, now: datetime, digest: str = "") -> Caller:
    key = key_now(int(number), digest=digest)
    if key is None:
        raise InvalidApiKey("the API key is unknown")
    return caller_of_key(key, now=now)


def use_nonce(identity: Identity) -> Identity:
    """Use the nonce of a signed call. Returns the identity with its signature marked as used. Raises NonceUsed."""
    if identity.signature is None:
        return identity
    return identity._replace(signature=with_nonce_used(identity.signature, identity=identity.caller.identity))


def authorization_of(header: str) -> tuple[str, str]:
    """Return the scheme (API_KEY or BEARER) and the credential in an Authorization header.

    Raises InvalidAuthorization; AmbiguousCredentials if the request had several such headers.
    """
    if "," in header:
        # Servers join repeated headers with commas, and credentials do not contain commas.
        raise AmbiguousCredentials("there is more than one credential in Authorization; send one")
    match = _AUTHORIZATION.fullmatch(header.strip(" \t"))
    scheme = _SCHEMES.get(match[1].lower()) if match else None
    if match is None or scheme is None:
        raise InvalidAuthorization(
            "Authorization must be one of: Api-Key <key>, Basic <key:secret>, Bearer <token>"
        )
    return scheme, match[2]


def check_network(caller: Caller, address: str) -> None:
    """Raise NetworkNotAllowed unless the caller may call from that IP address."""
    if not caller.may_call_from(address):
        raise NetworkNotAllowed(
            "the credential is not valid from this address; call from one of its networks"
        )


def _only_credential(headers: Mapping[str, str], scheme: str | None) -> str | None:
    """Return the kind of credential in the headers; None if there is none. Raises AmbiguousCredentials.

    scheme: API_KEY or BEARER, from the header Authorization; None without it.
    """
    kinds = {scheme} if scheme else set()
    if has_key(headers):
        kinds.add(API_KEY)
    if "signature" in headers or "signature-input" in headers:
        kinds.add(SIGNATURE)
    if headers.get("x-ssl-client-verify", _NO_CERTIFICATE) not in ("", _NO_CERTIFICATE):
        kinds.add(CERTIFICATE)
    if len(kinds) > 1:
        raise AmbiguousCredentials(f"there are several credentials: {', '.join(sorted(kinds))}; send one")
    return kinds.pop() if kinds else None


def _caller_of_key(headers: Mapping[str, str], *, now: datetime) -> Caller:
    key = key_cache.find(digest(key_in_headers(headers) or ""))
    if key is None:
        raise InvalidApiKey("the API key is unknown")
    return _caller_by_key(key, now=now)


def caller_of_certificate(call: ReceivedCall, *, now: datetime) -> Caller:
    """Return the caller of the key with which the client certificate is registered, by the certificate's SHA-256.

    The proxy verifies the certificate's chain, dates and revocation, and passes it in headers, which are accepted from
    trusted proxies only. Raises InvalidCertificate, RevokedApiKey, ExpiredApiKey.
    """
    if call.headers.get("x-ssl-client-verify") != VERIFIED:
        raise InvalidCertificate("the client certificate was not verified")
    key = key_cache.find(fingerprint_of(call.headers.get("x-ssl-client-cert", "")), by="certificate")
    if key is None:
        raise InvalidCertificate("the client certificate belongs to no key; register it with one")
    caller = replace(caller_of_key(key, now=now), credential="certificate")
    key_used(key, now=now)
    return caller


@lru_cache(maxsize=MAX_CACHED_CERTIFICATES)
def fingerprint_of(escaped: str) -> str:
    """Return the SHA-256 of a certificate (DER) as 64 lower-case hexadecimal digits.

    escaped: the certificate as URL-encoded PEM. Raises InvalidCertificate.
    """
    if len(escaped) > MAX_HEADER_LENGTH:
        raise InvalidCertificate("the client certificate is too long")
    try:
        certificate = x509.load_pem_x509_certificate(unquote(escaped, errors="strict").encode("ascii"))
    except (ValueError, x509.InvalidVersion):
        raise InvalidCertificate("the client certificate is not URL-encoded PEM") from None
    return certificate.fingerprint(SHA256()).hex()


def caller_of_stored_key(key: CachedKey, *, address: str, now: datetime) -> Caller:
    """Return the caller of a call that is answered for by a key. Raises CredentialError, NetworkNotAllowed."""
    caller = _caller_by_key(key, now=now)
    check_network(caller, address)
    return caller


def _caller_by_key(key: CachedKey, *, now: datetime) -> Caller:
    caller = caller_of_key(key, now=now)
    if key.signed_only:
        raise SignatureRequired("this key is for signing only; sign the request instead of sending the key")
    key_used(key, now=now)
    return caller


def only_key_digest(headers: Mapping[str, str]) -> str | None:
    """Return the digest of the API key in these headers.

    None if `identify` must decide: they have no key, a wrong one or another credential.
    """
    try:
        authorization = headers.get("authorization")
        if authorization is not None and authorization_of(authorization)[0] != API_KEY:
            return None
        text = key_in_headers(headers)
    except CredentialError:
        return None
    return None if text is None else digest(text)


def caller_if_cached(key_digest: str, *, address: str, now: datetime) -> Caller | None:
    """Return the caller whose API key has this digest, without using the database.

    None if `identify` must decide: the key is not cached, or the caller is refused.
    """
    key = key_cache.get(("digest", key_digest))
    if key is None or key.signed_only:
        return None
    try:
        caller = caller_of_key(key, now=now)
        check_network(caller, address)
    except (CredentialError, NetworkNotAllowed):
        return None
    key_used(key, now=now)
    return caller


def exposed_credential(call: ReceivedCall, *, now: datetime) -> str | None:
    """Return a description, without secrets, of the valid key or token that a call over plain HTTP exposes.

    Returns None if the call exposes neither. A signature exposes no secret. An OAuth2 client's secret is a key.
    """
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    try:
        text = key_in_headers(call.headers)
        if text is not None:
            key = key_cache.find(digest(text))
            return None if key is None or key.revoked_at else f"the API key md_{prefix_of(text)}"
        if scheme.lower() != "bearer":
            return None
        return f"a token of {caller_of_bearer(token.strip(), now=now).identity}"
    except CredentialError:
        return None
