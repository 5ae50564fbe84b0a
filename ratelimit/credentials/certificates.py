"""Authentication over mTLS: the caller is the key with which the client certificate is registered.

The proxy verifies the certificate's chain, dates and revocation, and passes the certificate in headers. They are
accepted from trusted proxies only. The key is found by the certificate's SHA-256.
"""

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ratelimit.callers import Caller
from ratelimit.exceptions import InvalidCertificate
from ratelimit.keys.selectors import caller_of_key, key_cache, key_used
from web.requests.received import ReceivedCall

# The value of nginx's $ssl_client_verify for a valid certificate.
VERIFIED = "SUCCESS"
MAX_CACHED_CERTIFICATES = 1_024
# The longest accepted header X-SSL-Client-Cert, in characters.
MAX_HEADER_LENGTH = 16_384


def caller_of_certificate(call: ReceivedCall, *, now: datetime) -> Caller:
    """Return the caller of the certificate's key. Raises InvalidCertificate, RevokedApiKey, ExpiredApiKey."""
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
