"""Errors of credentials and keys. They are DRF's, so that a view adds the challenge to the answer.

The docstring of an error is the meaning of its code on the page of errors. Errors in a request's syntax are in
`web.requests.exceptions`.
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
    """The Authorization header is not one known scheme with one credential: `Api-Key <key>` or `Bearer <token>`."""

    code = "invalid_credentials"


class AmbiguousCredentials(CredentialError):
    """The request has several credentials."""

    code = "ambiguous_credentials"


class SignatureRequired(CredentialError):
    """The key is for signing only, or the account demands signed requests (RFC 9421)."""

    code = "signature_required"


class InvalidToken(CredentialError):
    """The access token was not issued by this installation, has expired or was revoked."""

    code = "invalid_token"
    default_detail = "the token is not valid; get a new one"


class InvalidLogin(CredentialError):
    """The name or the password is wrong, or this person has no access."""

    code = "invalid_login"
    default_detail = "the name or the password is wrong"


class InvalidApiKey(CredentialError):
    """The API key is malformed or unknown."""

    code = "invalid_api_key"


class ExpiredApiKey(CredentialError):
    """The API key has expired."""

    code = "expired_api_key"


class RevokedApiKey(CredentialError):
    """The API key was revoked."""

    code = "revoked_api_key"


class InvalidSignature(CredentialError):
    """The signature (RFC 9421) is malformed or wrong, belongs to no key, or covers too little; the message says which."""

    code = "invalid_signature"


class SignatureExpired(CredentialError):
    """The signature's `created` is too old or in the future, or its `expires` is past."""

    code = "signature_expired"


class DigestMismatch(CredentialError):
    """The signed Content-Digest does not match the body."""

    code = "digest_mismatch"


class NonceUsed(CredentialError):
    """The nonce was used before: a signed request is accepted once."""

    code = "nonce_used"


class InvalidCertificate(CredentialError):
    """The client certificate was not verified, or belongs to no key."""

    code = "invalid_certificate"


class PasswordChecksBusy(RateLimitError):
    """Too many passwords wait to be checked; log in after `Retry-After`."""

    code = "server_busy"
    default_detail = "too many logins at once; retry in 1 s"


class NetworkNotAllowed(RateLimitError, PermissionDenied):
    """The credential is not valid from this address."""

    code = "network_not_allowed"


class TooManyStreams(RateLimitError):
    """The caller has 4 streams open."""

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
    """The caller sees no key with this id."""

    code = "unknown_key"


class NotRotatable(KeyAdministrationError):
    """The key was revoked, or has expired: make a new one.

    Or it was rotated, and its old secret is still valid: end that, or wait.
    """

    code = "not_rotatable"


class TooManyKeys(KeyAdministrationError):
    """The caller has created 100 keys that are active. Revoke some."""

    code = "too_many_keys"


class GrantExceeded(KeyAdministrationError):
    """The key has, or would have, access that the caller lacks; the message names it."""

    code = "grant_exceeded"
