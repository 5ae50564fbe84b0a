"""What is asked for is not there, or not in this way, or not in its present state: 404 to 415."""

from marketdata_project.error_codes.error_code import ErrorCode, GivenBy, NextStep

RESOURCES = (
    ErrorCode(404, "not_found", "There is nothing at this path.", next_step=NextStep.ASK_OTHERWISE),
    ErrorCode(
        404, "unknown_symbol", "Nothing was ever stored under this symbol.", next_step=NextStep.ASK_OTHERWISE
    ),
    ErrorCode(
        404,
        "unknown_key",
        "There is no key with this id among those that the caller may know of.",
        next_step=NextStep.ASK_OTHERWISE,
    ),
    ErrorCode(
        404,
        "wrong_class",
        "The symbol is of another class of instruments; the message names the path that has it.",
        next_step=NextStep.ASK_OTHERWISE,
    ),
    ErrorCode(
        404,
        "no_contract",
        "The option's underlying, expiry, strike or right is not known. Tell it, or name the "
        "option as the OCC does.",
    ),
    ErrorCode(
        404,
        "resolution_unavailable",
        "Nothing as fine as that is stored of the symbol. Ask for a coarser resolution.",
        next_step=NextStep.ASK_OTHERWISE,
    ),
    ErrorCode(
        404,
        "no_data",
        "The symbol is known, and nothing of it lies in the range.",
        next_step=NextStep.ASK_OTHERWISE,
    ),
    ErrorCode(
        405,
        "method_not_allowed",
        "The path exists, not with this method; `Allow` names those it takes.",
        next_step=NextStep.ASK_OTHERWISE,
    ),
    ErrorCode(
        406,
        "not_acceptable",
        "None of the formats in `Accept` or `format` can be given.",
        next_step=NextStep.ASK_OTHERWISE,
    ),
    ErrorCode(408, "request_timeout", "Headers or body did not arrive in time.", next_step=NextStep.RETRY),
    ErrorCode(
        409,
        "in_progress",
        "A request with this Idempotency-Key is still running. Retry in a moment.",
        next_step=NextStep.RETRY,
        given_by=GivenBy.CALLERS_CHANGES,
        retry_seconds=1,
    ),
    ErrorCode(
        409,
        "resync",
        "The log was restored since the cursor was made, or, of options, something that was being"
        " stored then has been since. Begin the walk anew.",
        next_step=NextStep.BEGIN_ANEW,
        given_by=GivenBy.READS,
    ),
    ErrorCode(
        409,
        "not_rotatable",
        "The key was rotated or revoked before, or has expired. Rotate its successor, or make a new key.",
        given_by=GivenBy.KEY_CHANGES,
    ),
    ErrorCode(
        409,
        "already_made",
        "The key was made by the first request with this Idempotency-Key, and its answer cannot "
        "be opened any more.",
        next_step=NextStep.LOOK_FIRST,
        given_by=GivenBy.KEY_CHANGES,
    ),
    ErrorCode(
        413,
        "body_too_large",
        "The body is larger than its endpoint reads; the message says how much that is. Split a batch.",
    ),
    ErrorCode(414, "target_too_long", "Path and query have at most 16 KiB together."),
    ErrorCode(
        415,
        "unsupported_media_type",
        "The body's Content-Type is not one that is read here, or it is compressed: `Content-"
        "Encoding` is identity or left out.",
    ),
)
