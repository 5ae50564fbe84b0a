"""Every error code that a client can meet, declared once: for the documentation page, the schema and the tests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A code, its status, and a sentence that says what to do."""

    status: int
    code: str
    meaning: str


ERROR_CODES = (
    ErrorCode(
        400,
        "malformed_json",
        "The body is not one JSON document in UTF-8 (RFC 8259), without a byte order mark.",
    ),
    ErrorCode(
        400,
        "malformed_ndjson",
        "A line of the body is not one JSON document in UTF-8; the message names the line.",
    ),
    ErrorCode(
        400,
        "malformed_csv",
        "The body is not CSV (RFC 4180) in UTF-8 with a header line and as many cells in each line.",
    ),
    ErrorCode(400, "malformed_msgpack", "The body is not one MessagePack map with texts as keys."),
    ErrorCode(
        400, "malformed_arrow", "The body is not an Arrow IPC stream, is damaged, or has compressed buffers."
    ),
    ErrorCode(
        400, "duplicate_key", "A key stands twice in one object of the body, or a column twice. Send it once."
    ),
    ErrorCode(400, "nesting_too_deep", "The body is nested deeper than any batch needs."),
    ErrorCode(
        400,
        "unknown_parameter",
        "A query parameter is not known here; the message names the nearest that is.",
    ),
    ErrorCode(400, "repeated_parameter", "A query parameter is given more than once."),
    ErrorCode(400, "empty_parameter", "A query parameter has no value. Leave it out, or give one."),
    ErrorCode(400, "missing_parameter", "A required query parameter is missing."),
    ErrorCode(400, "invalid_parameter", "A query parameter is not one of the words that it may be."),
    ErrorCode(400, "invalid_limit", "limit is not a whole number between 1 and 10,000."),
    ErrorCode(
        400,
        "invalid_timestamp",
        "A time is not ISO 8601 / RFC 3339 nor an epoch integer of 10, 13, 16 or 19 digits.",
    ),
    ErrorCode(400, "timestamp_out_of_range", "A time lies outside the years 1900 to 2200."),
    ErrorCode(400, "invalid_range", "start is not before end, or since not before until."),
    ErrorCode(400, "range_too_large", "The answer would be too long: ask for a shorter range, or page."),
    ErrorCode(
        400, "conflicting_parameters", "Two query parameters exclude each other; the message says which."
    ),
    ErrorCode(400, "unknown_column", "fields names no column of the answer; the message gives the nearest."),
    ErrorCode(
        400, "invalid_fields", "fields is not a list of columns' names, separated by commas, each once."
    ),
    ErrorCode(400, "invalid_number", "A query parameter is not a plain decimal number within its bounds."),
    ErrorCode(400, "too_many_symbols", "symbols names more than 50 symbols. Ask for some at a time."),
    ErrorCode(400, "repeated_symbol", "symbols names a symbol twice."),
    ErrorCode(
        400,
        "no_exchange",
        "Sessions are asked for of an instrument that names no exchange. Tell its exchange, or ask with session=utc and hours=all.",
    ),
    ErrorCode(
        400,
        "invalid_cursor",
        "The cursor was not made here, was cut, or belongs to another query. Begin the walk anew.",
    ),
    ErrorCode(
        400, "invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters, quoted or bare."
    ),
    ErrorCode(
        400, "too_many_parameters", "A query or a form has more than 1,000 fields, or a form has a file."
    ),
    ErrorCode(400, "invalid_host", "The Host header names no host of this service."),
    ErrorCode(400, "malformed_request", "The request is malformed."),
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
    ErrorCode(404, "not_found", "There is nothing at this path."),
    ErrorCode(404, "unknown_symbol", "Nothing was ever stored under this symbol."),
    ErrorCode(404, "unknown_key", "There is no key with this id among those that the caller may know of."),
    ErrorCode(
        404,
        "wrong_class",
        "The symbol is of another class of instruments; the message names the path that has it.",
    ),
    ErrorCode(
        404,
        "no_contract",
        "The option's underlying, expiry, strike or right is not known. Tell it, or name the option as the OCC does.",
    ),
    ErrorCode(
        404,
        "resolution_unavailable",
        "Nothing as fine as that is stored of the symbol. Ask for a coarser resolution.",
    ),
    ErrorCode(404, "no_data", "The symbol is known, and nothing of it lies in the range."),
    ErrorCode(
        405, "method_not_allowed", "The path exists, not with this method; `Allow` names those it takes."
    ),
    ErrorCode(406, "not_acceptable", "None of the formats in `Accept` or `format` can be given."),
    ErrorCode(408, "request_timeout", "Headers or body did not arrive in time."),
    ErrorCode(409, "in_progress", "A request with this Idempotency-Key is still running. Retry in a moment."),
    ErrorCode(
        409,
        "resync",
        "The log was restored since the cursor was made, or, of options, something that was being stored then has been since."
        " Begin the walk anew.",
    ),
    ErrorCode(
        409,
        "not_rotatable",
        "The key was rotated or revoked before, or has expired. Rotate its successor, or make a new key.",
    ),
    ErrorCode(
        409,
        "already_made",
        "The key was made by the first request with this Idempotency-Key, and its answer cannot be opened any more.",
    ),
    ErrorCode(413, "body_too_large", "A body has at most 32 MiB. Split the batch."),
    ErrorCode(414, "target_too_long", "Path and query have at most 16 KiB together."),
    ErrorCode(
        415,
        "unsupported_media_type",
        "The body's Content-Type is not one that is read here, or it is compressed: `Content-Encoding` is identity or left out.",
    ),
    ErrorCode(
        422, "validation_failed", "Fields are wrong; `errors` names up to a hundred of them with their paths."
    ),
    ErrorCode(
        422,
        "invalid_key_request",
        "A field of a key that is to be made or rotated is out of bounds; errors names it.",
    ),
    ErrorCode(422, "invalid_symbol", "A symbol is 1-32 of A-Z 0-9 . _ - = ^ : + with single inner spaces."),
    ErrorCode(422, "unknown_resolution", "The resolution is not one of those that the message lists."),
    ErrorCode(422, "unknown_interval", "The interval is not one of 1min, 5min, 1h, 1d."),
    ErrorCode(
        422,
        "unknown_exchange",
        "An exchange or a calendar is named of which no hours are known; the message lists those that are.",
    ),
    ErrorCode(422, "empty_batch", "The list of rows, or of corrections, is empty."),
    ErrorCode(422, "too_many_rows", "A batch has at most 100,000 rows, or 10,000 corrections. Split it."),
    ErrorCode(422, "too_many_dates", "A batch touches at most 366 dates. Split it."),
    ErrorCode(422, "mixed_symbols", "A batch is of one symbol. Split it by symbol."),
    ErrorCode(422, "mixed_resolutions", "The query gives a resolution, and a row gives another."),
    ErrorCode(422, "unequal_columns", "The columns of a batch do not all have the same number of values."),
    ErrorCode(
        422,
        "nonpositive_price",
        "A price is zero or less, and the instrument has not the setting `allow_nonpositive_price`.",
    ),
    ErrorCode(
        422,
        "negative_price",
        "A bid or an ask is less than zero, and the instrument has not the setting `allow_nonpositive_price`.",
    ),
    ErrorCode(422, "negative_volume", "A volume is less than zero."),
    ErrorCode(422, "negative_size", "A size, or an open interest, is less than zero."),
    ErrorCode(422, "missing_side", "A quote has neither a bid nor an ask."),
    ErrorCode(422, "inconsistent_bar", "A bar's open or close does not lie between its low and its high."),
    ErrorCode(
        422,
        "inconsistent_action",
        "A split has a ratio, no amount and no currency; a dividend has an amount and no ratio.",
    ),
    ErrorCode(422, "unknown_field", "A field is not known; `unknown=ignore` passes over such fields."),
    ErrorCode(422, "trade_id_conflict", "A trade_id is taken, on that date and exchange, by other values."),
    ErrorCode(
        422, "correction_target_not_found", "A correction names no stored trade; `errors` says which ones."
    ),
    ErrorCode(
        422,
        "correction_ambiguous",
        "A correction names several trades that differ. Say more: `trade_id`, `exchange`, `price`, `volume`.",
    ),
    ErrorCode(
        422,
        "row_conflict",
        "A row says otherwise of what is stored already, such as another close of the same bar.",
    ),
    ErrorCode(
        422,
        "alias_taken",
        "An alias is a symbol with data, or another instrument's symbol or alias. Choose another one.",
    ),
    ErrorCode(
        422, "idempotency_key_reused", "The Idempotency-Key was used for another body. Choose a new one."
    ),
    ErrorCode(
        429,
        "rate_limited",
        "The bucket is empty. `Retry-After` says after how many seconds a request is admitted.",
    ),
    ErrorCode(
        429,
        "too_many_connections",
        "Too many connections are open from this address. Close some, or use those that there are for more requests.",
    ),
    ErrorCode(
        429,
        "quota_exceeded",
        "The quota of the day or of the month is used up; `Retry-After` says when the next one begins.",
    ),
    ErrorCode(431, "headers_too_large", "The request's headers have more than 64 KiB."),
    ErrorCode(431, "header_too_long", "A header has at most 16 KiB, its name included."),
    ErrorCode(431, "too_many_headers", "A request has at most 100 headers."),
    ErrorCode(
        500, "internal_error", "The server failed in a way that nobody expected. Report the correlation id."
    ),
    ErrorCode(503, "server_busy", "Too much is being received at once; nothing was looked at. Retry."),
    ErrorCode(503, "store_unavailable", "The store cannot be used now; nothing was stored. Retry."),
    ErrorCode(503, "store_busy", "Another process holds the symbol's lock; nothing was stored. Retry."),
    ErrorCode(
        503,
        "outcome_unknown",
        "The disk did not confirm the commit. Send the batch again: what was stored is recognised. Of a change that is"
        " recorded: its record was not confirmed. Look what is there, then send it again.",
    ),
    ErrorCode(
        503, "data_damaged", "Stored bytes that the answer needs are damaged. An operator must restore them."
    ),
    ErrorCode(
        503,
        "audit_unavailable",
        "The call is one that is recorded before it is answered, and cannot be recorded now: nothing was done. Retry.",
    ),
    ErrorCode(
        503,
        "server_unavailable",
        "The proxy in front got no answer from the server. Try again after Retry-After; a write that changes something, "
        "with its Idempotency-Key.",
    ),
    ErrorCode(503, "database_unavailable", "The database cannot be used now. Retry."),
    ErrorCode(507, "store_full", "No space is left; nothing was stored. Retry when there is room."),
)
