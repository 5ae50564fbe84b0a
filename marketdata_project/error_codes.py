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
    ErrorCode(400, "invalid_range", "start is not before end."),
    ErrorCode(400, "range_too_large", "The answer would be too long: ask for a shorter range, or page."),
    ErrorCode(
        400,
        "invalid_cursor",
        "The cursor was not made here, was cut, or belongs to another query. Begin the walk anew.",
    ),
    ErrorCode(
        400, "invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters, quoted or bare."
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
    ErrorCode(403, "missing_scope", "The key lacks the scope that the message names."),
    ErrorCode(
        403, "forbidden", "This is not allowed; for a browser's session also: the CSRF token is missing."
    ),
    ErrorCode(404, "not_found", "There is nothing at this path."),
    ErrorCode(404, "unknown_symbol", "Nothing was ever stored under this symbol."),
    ErrorCode(404, "no_data", "The symbol is known, and nothing of it lies in the range."),
    ErrorCode(
        405, "method_not_allowed", "The path exists, not with this method; `Allow` names those it takes."
    ),
    ErrorCode(406, "not_acceptable", "None of the formats in `Accept` or `format` can be given."),
    ErrorCode(408, "request_timeout", "Headers or body did not arrive in time."),
    ErrorCode(409, "in_progress", "A request with this Idempotency-Key is still running. Retry in a moment."),
    ErrorCode(409, "resync", "The log was restored since the cursor was made. Begin the walk anew."),
    ErrorCode(413, "body_too_large", "A body has at most 32 MiB. Split the batch."),
    ErrorCode(415, "unsupported_media_type", "The body's Content-Type is not one that is read here."),
    ErrorCode(
        422, "validation_failed", "Fields are wrong; `errors` names up to a hundred of them with their paths."
    ),
    ErrorCode(422, "invalid_symbol", "A symbol is 1-32 of A-Z 0-9 . _ - = ^ : + with single inner spaces."),
    ErrorCode(422, "unknown_interval", "The interval is not one of 1min, 5min, 1h, 1d."),
    ErrorCode(422, "empty_batch", "The list of rows, or of corrections, is empty."),
    ErrorCode(422, "too_many_rows", "A batch has at most 100,000 rows, or 10,000 corrections. Split it."),
    ErrorCode(422, "too_many_dates", "A batch touches at most 366 dates. Split it."),
    ErrorCode(422, "mixed_symbols", "A batch is of one symbol. Split it by symbol."),
    ErrorCode(422, "mixed_resolutions", "The query gives a resolution, and a row gives another."),
    ErrorCode(422, "unequal_columns", "The columns of a batch do not all have the same number of values."),
    ErrorCode(422, "nonpositive_price", "A price is zero or less."),
    ErrorCode(422, "negative_price", "A bid or an ask is less than zero."),
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
        422, "idempotency_key_reused", "The Idempotency-Key was used for another body. Choose a new one."
    ),
    ErrorCode(
        429,
        "rate_limited",
        "The bucket is empty. `Retry-After` says after how many seconds a request is admitted.",
    ),
    ErrorCode(431, "headers_too_large", "The request's headers have more than 64 KiB."),
    ErrorCode(
        500, "internal_error", "The server failed in a way that nobody expected. Report the correlation id."
    ),
    ErrorCode(503, "store_unavailable", "The store cannot be used now; nothing was stored. Retry."),
    ErrorCode(503, "store_busy", "Another process holds the symbol's lock; nothing was stored. Retry."),
    ErrorCode(
        503,
        "outcome_unknown",
        "The disk did not confirm the commit. Send the batch again: what was stored is recognised.",
    ),
    ErrorCode(
        503, "data_damaged", "Stored bytes that the answer needs are damaged. An operator must restore them."
    ),
    ErrorCode(503, "database_unavailable", "The database cannot be used now. Retry."),
    ErrorCode(507, "store_full", "No space is left; nothing was stored. Retry when there is room."),
)
