"""Who calls is not known, or may not do this: 401 and 403."""

from marketdata_project.error_codes.error_code import ErrorCode

CALLERS = (
    ErrorCode(
        401,
        "not_authenticated",
        "No credentials were sent. Send `Authorization: Api-Key …` or `X-API-Key: …`.",
    ),
    ErrorCode(401, "invalid_api_key", "The API key is malformed or unknown."),
    ErrorCode(401, "expired_api_key", "The API key has expired. Ask for another."),
    ErrorCode(401, "revoked_api_key", "The API key was revoked. Ask for another."),
    ErrorCode(
        401,
        "invalid_credentials",
        "The Authorization header is not one known scheme with one credential: `Api-Key <key>` or `Bearer <token>`.",
    ),
    ErrorCode(
        401,
        "ambiguous_credentials",
        "Credentials of several kinds, or several of one kind, were presented. Send one.",
    ),
    ErrorCode(
        401,
        "signature_required",
        "The key is for signing only. Sign the request (RFC 9421) instead of sending the key.",
    ),
    ErrorCode(
        401,
        "invalid_token",
        "The access token is not one of this installation's, has expired or was withdrawn. Get a new one.",
    ),
    ErrorCode(
        401, "invalid_login", "The name or the password is wrong, or nothing is granted to this person."
    ),
    ErrorCode(
        403,
        "https_required",
        "The API is called over https. Whoever could read the way has the credential: replace it.",
    ),
    ErrorCode(403, "missing_scope", "The caller lacks the scope that the message names."),
    ErrorCode(
        403,
        "insufficient_sensitivity",
        "The caller is not cleared for data as sensitive as the message names.",
    ),
    ErrorCode(
        403, "forbidden", "This is not allowed; for a browser's session also: the CSRF token is missing."
    ),
    ErrorCode(
        401,
        "invalid_signature",
        "The signature (RFC 9421) is malformed, wrong, of no key, or covers too little; the message says which.",
    ),
    ErrorCode(
        401,
        "signature_expired",
        "`created` of the signature is too long ago or in the future, or `expires` is past. Sign again.",
    ),
    ErrorCode(401, "digest_mismatch", "The signed Content-Digest is not that of the body."),
    ErrorCode(401, "nonce_used", "A signed request is accepted once. Sign again, with another nonce."),
    ErrorCode(
        401,
        "invalid_certificate",
        "The client certificate was not verified, or stands for no key.",
    ),
    ErrorCode(
        403,
        "network_not_allowed",
        "The credential is good, but not from this address: call from one of its networks.",
    ),
    ErrorCode(
        403,
        "grant_exceeded",
        "The key has, or would have, more than the caller itself; the message names what.",
    ),
)
