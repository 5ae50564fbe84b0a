"""Errors of credentials and keys. They are DRF's, so that a view adds the challenge to the answer.

Errors in a request's syntax are in `web.requests.exceptions`.
"""

from typing import ClassVar

from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied

from web.requests.exceptions import FieldError


class RateLimitError(APIException):
    """Base of all errors of this app; `str(error)` may be shown to the client.

    Errors that the API can answer have a stable `code`; the others occur on the command line only.
    """

    code: ClassVar[str]


class CredentialError(RateLimitError, AuthenticationFailed):
    """A credential was sent but is not accepted."""


class InvalidAuthorization(CredentialError):
    """The header Authorization must have one known scheme and one credential; correct it."""

    code = "invalid_credentials"


class AmbiguousCredentials(CredentialError):
    """Several credentials were sent; send one."""

    code = "ambiguous_credentials"


class SignatureRequired(CredentialError):
    """The key may only sign requests; sign the request instead of sending the key."""

    code = "signature_required"


class InvalidToken(CredentialError):
    """The token is unknown, expired or revoked; get a new one. The message does not tell which."""

    code = "invalid_token"
    default_detail = "the token is not valid; get a new one"


class InvalidLogin(CredentialError):
    """The name or the password is wrong; correct it."""

    code = "invalid_login"
    default_detail = "the name or the password is wrong"


class InvalidApiKey(CredentialError):
    """The key is malformed or unknown; send a valid one."""

    code = "invalid_api_key"


class ExpiredApiKey(CredentialError):
    """The key has expired; ask for a new one."""

    code = "expired_api_key"


class RevokedApiKey(CredentialError):
    """The key was revoked; ask for a new one."""

    code = "revoked_api_key"


class InvalidSignature(CredentialError):
    """The signature is malformed or wrong, names an unknown key, or omits a required part; sign the request as sent."""

    code = "invalid_signature"


class SignatureExpired(CredentialError):
    """The signature is too old, or its time is in the future; set the clock and sign again."""

    code = "signature_expired"


class DigestMismatch(CredentialError):
    """The signed digest does not match the body; sign the body that is sent."""

    code = "digest_mismatch"


class NonceUsed(CredentialError):
    """The signature was used before; sign again with another nonce."""

    code = "nonce_used"


class InvalidCertificate(CredentialError):
    """No key has this client certificate, or the proxy did not verify it; register it with a key, or use another."""

    code = "invalid_certificate"


class PasswordChecksBusy(RateLimitError):
    """Too many passwords wait to be checked; log in after `Retry-After`."""

    code = "server_busy"
    default_detail = "too many logins at once; retry in 1 s"


class NetworkNotAllowed(RateLimitError, PermissionDenied):
    """The credential is not valid from this IP address; call from one of its networks."""

    code = "network_not_allowed"


class TooManyStreams(RateLimitError):
    """The caller has as many streams open as it may. Read one to its end, or close one."""

    code = "too_many_streams"


class KeyAdministrationError(RateLimitError):
    """A key could not be created, found or changed."""


class InvalidKeyRequest(KeyAdministrationError):
    """An attribute of a new key, or a rotation's overlap period, is invalid; correct it."""

    code = "invalid_key_request"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.errors = () if field is None else (FieldError(field, self.code, message),)


class UnknownKey(KeyAdministrationError):
    """No key, or more than one, has this id or prefix; look it up in the list of keys."""

    code = "unknown_key"


class NotRotatable(KeyAdministrationError):
    """The key was revoked, has expired, or was rotated, and both its secrets are valid: end the overlap, or wait."""

    code = "not_rotatable"


class TooManyKeys(KeyAdministrationError):
    """The caller has as many active keys as it may; revoke those that are not needed."""

    code = "too_many_keys"


class GrantExceeded(KeyAdministrationError):
    """The key has, or would have, more grants than the caller; request less, or ask somebody with more grants."""

    code = "grant_exceeded"
