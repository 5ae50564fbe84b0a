"""Whose request it is: one credential, of whichever kind, and the caller that it makes."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from ratelimit.callers import Caller
from ratelimit.credentials.bearer import caller_of_bearer
from ratelimit.credentials.certificates import caller_certified
from ratelimit.credentials.presented import Presented
from ratelimit.credentials.signatures.verification import caller_signed, signer_of
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


def caller_of(presented: Presented, *, now: datetime) -> Caller | None:
    """The caller whose credential a request presents, None where it presents none.

    Raises a CredentialError, of which each code says what is wrong, and NetworkNotAllowed.
    """
    return _caller_of(presented, caller_by_signature=caller_signed, now=now)


def sender_of(presented: Presented, *, now: datetime) -> Caller | None:
    """The caller that a request's headers prove, before its body is read; None if there is no credential.

    Raises as `caller_of` does. Of a signed request the body is not held against its digest, and the nonce is
    not used up.
    """
    return _caller_of(presented, caller_by_signature=signer_of, now=now)


def _caller_of(
    presented: Presented, *, caller_by_signature: Callable[..., Caller], now: datetime
) -> Caller | None:
    headers = presented.headers
    authorization = headers.get("authorization")
    authorized = None if authorization is None else authorization_of(authorization)
    kind = _kind(headers, None if authorized is None else authorized[0])
    if kind is None:
        return None
    if kind == API_KEY:
        caller = _caller_of_key(headers, now=now)
    elif kind == SIGNATURE:
        caller = caller_by_signature(presented, now=now)
    elif kind == CERTIFICATE:
        caller = caller_certified(presented, now=now)
    else:
        caller = caller_of_bearer(authorized[1] if authorized else "", now=now)
    check_network(caller, presented.address)
    return caller


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
