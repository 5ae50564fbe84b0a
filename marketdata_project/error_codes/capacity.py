"""Limits of callers and of the server, and its failures: from 429."""

from marketdata_project.error_codes.error_code import ErrorCode, GivenBy, NextStep

CAPACITY = (
    ErrorCode(
        429,
        "rate_limited",
        "The bucket is empty. `Retry-After` says after how many seconds a request is admitted.",
        next_step=NextStep.RETRY,
    ),
    ErrorCode(
        429,
        "too_many_connections",
        "Too many connections are open from this address. Close some, or use those that there are"
        " for more requests.",
        next_step=NextStep.RETRY,
        retry_seconds=1,
    ),
    ErrorCode(
        429,
        "quota_exceeded",
        "The quota of the day or of the month is used up; `Retry-After` says when the next one begins.",
        next_step=NextStep.RETRY,
    ),
    ErrorCode(431, "headers_too_large", "The request's headers have more than 64 KiB."),
    ErrorCode(431, "header_too_long", "A header has at most 16 KiB, its name included."),
    ErrorCode(431, "too_many_headers", "A request has at most 100 headers."),
    ErrorCode(
        500,
        "internal_error",
        "The server failed in a way that nobody expected. Report the correlation id.",
        next_step=NextStep.REPORT,
    ),
    ErrorCode(
        503,
        "server_busy",
        "Too much is being received at once; nothing was looked at. Retry.",
        next_step=NextStep.RETRY,
        retry_seconds=1,
    ),
    ErrorCode(
        503,
        "store_unavailable",
        "The store cannot be used now; nothing was stored. Retry.",
        next_step=NextStep.RETRY,
        retry_seconds=1,
    ),
    ErrorCode(
        503,
        "store_busy",
        "Another process holds the symbol's lock; nothing was stored. Retry.",
        next_step=NextStep.RETRY,
        given_by=GivenBy.CHANGES,
        retry_seconds=1,
    ),
    ErrorCode(
        503,
        "outcome_unknown",
        "The disk did not confirm the commit. Send the batch again: what was stored is "
        "recognised. Of a change that is recorded: its record was not confirmed. Look what is "
        "there, then send it again.",
        next_step=NextStep.LOOK_FIRST,
        given_by=GivenBy.CHANGES,
        retry_seconds=1,
    ),
    ErrorCode(
        503,
        "data_damaged",
        "Stored bytes that the answer needs are damaged. An operator must restore them.",
        next_step=NextStep.REPORT,
        retry_seconds=60,
    ),
    ErrorCode(
        503,
        "audit_unavailable",
        "The call is one that is recorded before it is answered, and cannot be recorded now: "
        "nothing was done. Retry.",
        next_step=NextStep.RETRY,
        given_by=GivenBy.CHANGES,
        retry_seconds=1,
    ),
    ErrorCode(
        503,
        "server_unavailable",
        "The proxy in front got no answer from the server. Try again after Retry-After; a write "
        "that changes something, with its Idempotency-Key.",
        next_step=NextStep.RETRY,
        retry_seconds=1,
    ),
    ErrorCode(
        503,
        "database_unavailable",
        "The database cannot be used now. Retry.",
        next_step=NextStep.RETRY,
        retry_seconds=1,
    ),
    ErrorCode(
        507,
        "store_full",
        "No space is left; nothing was stored. Retry when there is room.",
        next_step=NextStep.RETRY,
        given_by=GivenBy.DATA_CHANGES,
        retry_seconds=10,
    ),
)
