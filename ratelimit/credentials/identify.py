"""Whose call it is: one credential, of whichever kind, and the caller that it makes.

The headers decide it; only what a signature covers of the body is looked at later.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from http_requests.received import ReceivedCall
from ratelimit.callers import Caller
from ratelimit.credentials.bearer import caller_of_bearer
from ratelimit.credentials.certificates import caller_certified
from ratelimit.credentials.signatures.verification import (
    VerifiedSignature,
    nonce_used,
    signature_completed,
    signature_verified,
    signer_of,
)
from ratelimit.exceptions import (
    AmbiguousCredentials,
    InvalidApiKey,
    InvalidAuthorization,
    NetworkNotAllowed,
    SignatureRequired,
)
from ratelimit.keys.api_keys import SCHEME, digest, presented_key
from ratelimit.keys.selectors import caller_of_key, key_used, known_keys

API_KEY, BEARER, SIGNATURE, CERTIFICATE = "api_key", "bearer", "signature", "certificate"

_SCHEMES = {SCHEME.lower(): API_KEY, "bearer": BEARER}
# RFC 9110, 11.4: one scheme, one space, and here always one credential without spaces.
_AUTHORIZATION = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([^\s,]+)", re.ASCII)
# The proxy's word of a connection whose client showed no certificate.
_NO_CERTIFICATE = "NONE"


class Identity(NamedTuple):
    """Who calls, as the headers prove it; a `signature` is still to be held against the body by `completed`."""

    caller: Caller
    signature: VerifiedSignature | None = None


def identify(
    call: ReceivedCall, *, now: datetime, signature: VerifiedSignature | None = None
) -> Identity | None:
    """Whose credential a call carries, by its headers alone; None where it carries none.

    `signature` is that of this call where it was verified before; then only its key is looked up again. Raises
    a CredentialError, of which each code says what is wrong, and NetworkNotAllowed.
    """
    headers = call.headers
    authorization = headers.get("authorization")
    authorized = None if authorization is None else authorization_of(authorization)
    kind = _kind(headers, None if authorized is None else authorized[0])
    if kind is None:
        return None
    if kind == API_KEY:
        caller = _caller_of_key(headers, now=now)
    elif kind == SIGNATURE:
        signature = signature or signature_verified(call, now=now)
        caller = signer_of(signature, now=now)
    elif kind == CERTIFICATE:
        caller = caller_certified(call, now=now)
    else:
        caller = caller_of_bearer(authorized[1] if authorized else "", now=now)
    check_network(caller, call.address)
    return Identity(caller, signature)


def completed(identity: Identity, call: ReceivedCall, *, body: Callable[[], bytes], now: datetime) -> Caller:
    """The caller, once what it signed is held against the body; to be called once for a call.

    `body` gives the whole body and is asked of signed calls only, whose nonce is used up. Raises
    InvalidSignature, DigestMismatch, NonceUsed.
    """
    if identity.signature is not None:
        signature_completed(identity.signature, call, body(), identity=identity.caller.identity, now=now)
    return identity.caller


def nonce_spent(identity: Identity) -> Identity:
    """The identity with the nonce of its signature used up, if it has one. Raises NonceUsed."""
    if identity.signature is None:
        return identity
    return identity._replace(signature=nonce_used(identity.signature, identity=identity.caller.identity))


def authorization_of(header: str) -> tuple[str, str]:
    """The kind of credential and the credential in an Authorization header.

    Raises InvalidAuthorization and, where several such headers were joined, AmbiguousCredentials.
    """
    if "," in header:
        # No credential here has a comma: a server joins repeated headers with it.
        raise AmbiguousCredentials("there is more than one credential in Authorization")
    found = _AUTHORIZATION.fullmatch(header.strip(" \t"))
    kind = _SCHEMES.get(found[1].lower()) if found else None
    if found is None or kind is None:
        raise InvalidAuthorization("Authorization is one of: Api-Key <key>, Bearer <token>")
    return kind, found[2]


def check_network(caller: Caller, address: str) -> None:
    """Raises NetworkNotAllowed unless the caller may call from that address."""
    if not caller.may_call_from(address):
        raise NetworkNotAllowed("the credential is not good from this address")


def _kind(headers: Mapping[str, str], authorized: str | None) -> str | None:
    """The one kind of credential among the headers; raises AmbiguousCredentials."""
    kinds = {authorized} if authorized else set()
    if "x-api-key" in headers:
        kinds.add(API_KEY)
    if "signature" in headers or "signature-input" in headers:
        kinds.add(SIGNATURE)
    if headers.get("x-ssl-client-verify", _NO_CERTIFICATE) not in ("", _NO_CERTIFICATE):
        kinds.add(CERTIFICATE)
    if len(kinds) > 1:
        raise AmbiguousCredentials(f"there are several credentials: {', '.join(sorted(kinds))}; send one")
    return kinds.pop() if kinds else None


def _caller_of_key(headers: Mapping[str, str], *, now: datetime) -> Caller:
    key = presented_key(authorization=headers.get("authorization"), x_api_key=headers.get("x-api-key"))
    known = known_keys.find(digest(key or ""))
    if known is None:
        raise InvalidApiKey("the API key is unknown")
    caller = caller_of_key(known, now=now)
    if known.signed_only:
        raise SignatureRequired("this key signs requests; it is not accepted as it is")
    key_used(known, now=now)
    return caller
