"""The caller of a request over mTLS: a client certificate stands for a key.

The proxy in front has verified it. The headers are there only if a trusted proxy wrote them. It vouches for
the chain, the dates and the list of revoked certificates; here the certificate is found by its SHA-256.
"""

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from http_requests.received import ReceivedCall
from ratelimit.callers import Caller
from ratelimit.exceptions import InvalidCertificate
from ratelimit.keys.selectors import caller_of_key, key_used, known_keys

# What nginx says in $ssl_client_verify of a certificate that is good, and of none.
VERIFIED = "SUCCESS"
MAX_CACHED_CERTIFICATES = 1_024
LONGEST_HEADER = 16_384


def caller_certified(call: ReceivedCall, *, now: datetime) -> Caller:
    """The caller whose key the certificate stands for.

    Raises InvalidCertificate, RevokedApiKey, ExpiredApiKey.
    """
    if call.headers.get("x-ssl-client-verify") != VERIFIED:
        raise InvalidCertificate("the client certificate was not verified")
    known = known_keys.find(fingerprint_of(call.headers.get("x-ssl-client-cert", "")), by="certificate")
    if known is None:
        raise InvalidCertificate("the client certificate stands for no key")
    caller = replace(caller_of_key(known, now=now), credential="certificate")
    key_used(known, now=now)
    return caller


@lru_cache(maxsize=MAX_CACHED_CERTIFICATES)
def fingerprint_of(escaped: str) -> str:
    """The SHA-256 of a certificate (DER), 64 lower-case hexadecimal digits; `escaped` is URL-encoded PEM.

    Raises InvalidCertificate.
    """
    if len(escaped) > LONGEST_HEADER:
        raise InvalidCertificate("the client certificate is too long")
    try:
        certificate = x509.load_pem_x509_certificate(unquote(escaped, errors="strict").encode("ascii"))
    except (ValueError, x509.InvalidVersion):
        raise InvalidCertificate("the client certificate is not URL-encoded PEM") from None
    return certificate.fingerprint(SHA256()).hex()
