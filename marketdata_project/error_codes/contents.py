"""A body, or a query, that was read and whose content is wrong: 422."""

from marketdata_project.error_codes.error_code import ErrorCode, GivenBy

CONTENTS = (
    ErrorCode(
        422,
        "validation_failed",
        "Fields are wrong; `errors` names up to a hundred of them with their paths.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "invalid_key_request",
        "A value in the body is none that a key can have: a name that looks like a secret, what "
        "is no network, an expiry that is past, a certificate of another key; `errors` names its "
        "field. What is wrong by type or bounds is `validation_failed`.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(422, "invalid_symbol", "A symbol is 1-32 of A-Z 0-9 . _ - = ^ : + with single inner spaces."),
    ErrorCode(422, "unknown_resolution", "The resolution is not one of those that the message lists."),
    ErrorCode(422, "unknown_interval", "The interval is not one of 1min, 5min, 1h, 1d."),
    ErrorCode(
        422,
        "unknown_exchange",
        "An exchange or a calendar is named of which no hours are known; the message has the "
        "nearest exchange or calendar that is, or lists the exchanges.",
    ),
    ErrorCode(422, "empty_batch", "The list of rows, or of corrections, is empty.", given_by=GivenBy.CHANGES),
    ErrorCode(
        422,
        "too_many_rows",
        "A batch has at most 100,000 rows, or 10,000 corrections. Split it.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422, "too_many_dates", "A batch touches at most 366 dates. Split it.", given_by=GivenBy.CHANGES
    ),
    ErrorCode(
        422, "mixed_symbols", "A batch is of one symbol. Split it by symbol.", given_by=GivenBy.CHANGES
    ),
    ErrorCode(
        422,
        "mixed_resolutions",
        "The query gives a resolution, and a row gives another.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "unequal_columns",
        "The columns of a batch do not all have the same number of values.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "not_an_option",
        "Option quotes name a symbol that is no option, where nobody would find them. Name it as "
        "the OCC does, or tell its terms first: class, underlying, expiry, strike, right.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "nonpositive_price",
        "A price is zero or less, and the instrument has not the setting `allow_nonpositive_price`.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "negative_price",
        "A bid or an ask is less than zero, and the instrument has not the setting "
        "`allow_nonpositive_price`.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(422, "negative_volume", "A volume is less than zero.", given_by=GivenBy.CHANGES),
    ErrorCode(
        422, "negative_size", "A size, or an open interest, is less than zero.", given_by=GivenBy.CHANGES
    ),
    ErrorCode(422, "missing_side", "A quote has neither a bid nor an ask.", given_by=GivenBy.CHANGES),
    ErrorCode(
        422,
        "misplaced_bar",
        "A bar's timestamp is not the start of an interval of its resolution.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "inconsistent_bar",
        "A bar's open or close does not lie between its low and its high.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "inconsistent_action",
        "A split has a ratio, no amount and no currency; a dividend has an amount and no ratio.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "unknown_field",
        "A field is not known; `unknown=ignore` passes over such fields.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "trade_id_conflict",
        "A trade_id is taken, on that date and exchange, by other values.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "correction_target_not_found",
        "A correction names no stored trade; `errors` says which ones.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "correction_ambiguous",
        "A correction names several trades that differ. Say more: `trade_id`, `exchange`, `price`, `volume`.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "row_conflict",
        "A row says otherwise of what is stored already, such as another close of the same bar.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "alias_taken",
        "An alias is a symbol with data, or another instrument's symbol or alias. Choose another one.",
        given_by=GivenBy.CHANGES,
    ),
    ErrorCode(
        422,
        "idempotency_key_reused",
        "The Idempotency-Key was used for another body. Choose a new one.",
        given_by=GivenBy.CHANGES,
    ),
)
