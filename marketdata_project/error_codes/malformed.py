"""A body, a query or a header that cannot be read: 400."""

from marketdata_project.error_codes.error_code import ErrorCode, GivenBy, NextStep

MALFORMED = (
    ErrorCode(
        400,
        "malformed_json",
        "The body is not one JSON document in UTF-8 (RFC 8259), without a byte order mark.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400,
        "malformed_ndjson",
        "A line of the body is not one JSON document in UTF-8; the message names the line.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400,
        "malformed_csv",
        "The body is not CSV (RFC 4180) in UTF-8 with a header line and as many cells in each line.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400,
        "malformed_msgpack",
        "The body is not one MessagePack map with texts as keys.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400,
        "malformed_arrow",
        "The body is not an Arrow IPC stream, is damaged, or has compressed buffers.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400,
        "duplicate_key",
        "A key stands twice in one object of the body, or a column twice. Send it once.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400, "nesting_too_deep", "The body is nested deeper than 500 levels.", given_by=GivenBy.CHANGES
    ),
    ErrorCode(
        400,
        "document_too_large",
        "The body has more than 250,000 lists and objects, or 2,000,000 values. Split the batch.",
        given_by=GivenBy.CHANGES,
    ),
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
        400,
        "conflicting_parameters",
        "Two query parameters, or a path's suffix and `format`, exclude each other; the message says which.",
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
        "Sessions are asked for of an instrument that names no exchange. Tell its exchange, or "
        "ask with session=utc and hours=all.",
    ),
    ErrorCode(
        400,
        "invalid_cursor",
        "The cursor was not made here, was cut, or belongs to another query. Begin the walk anew.",
        next_step=NextStep.BEGIN_ANEW,
    ),
    ErrorCode(
        400,
        "invalid_idempotency_key",
        "Idempotency-Key is 1-255 visible ASCII characters, quoted or bare.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        400, "too_many_parameters", "A query or a form has more than 1,000 fields, or a form has a file."
    ),
    ErrorCode(400, "invalid_host", "The Host header names no host of this service."),
    ErrorCode(400, "malformed_request", "The request is malformed."),
)
