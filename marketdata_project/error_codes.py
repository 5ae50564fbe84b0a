"""Every error code that a client can meet, declared once.

The problem handler, the front's refusals, the OpenAPI document, the page of errors and the tests take status
and meaning from here. The apps raise errors that carry a code and know nothing of HTTP.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ratelimit import exceptions as ratelimit
from trading import exceptions as trading


class NextStep(StrEnum):
    """The next action of a client that receives a code."""

    CORRECT = "correct the request"
    ASK_OTHERWISE = "ask for something else"
    BEGIN_ANEW = "start again without a cursor"
    OTHER_CREDENTIAL = "send another credential"
    SIGN_AGAIN = "sign the request again"
    MORE_ACCESS = "ask for more access"
    RETRY = "send it again, after `Retry-After` seconds if given"
    LOOK_FIRST = "check the current state, then send it again"
    REPORT = "tell the operator"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A code with its HTTP status, its meaning in sentences, and the client's next step.

    retry_seconds: the value of `Retry-After`; None if the answer has no such header or if a limiter computes it.
    """

    status: int
    code: str
    meaning: str
    next_step: NextStep
    retry_seconds: int | None


def _codes(
    status: int,
    next_step: NextStep,
    retry_seconds: int | None = None,
    /,
    **meanings: str,
) -> Iterator[ErrorCode]:
    """Make codes that differ only in name and meaning."""
    for code, meaning in meanings.items():
        yield ErrorCode(status, code, meaning, next_step, retry_seconds)


def _meanings(*errors: type[ratelimit.RateLimitError | trading.TradingError]) -> dict[str, str]:
    """Return the docstrings of errors, by their codes."""
    return {each.code: " ".join(str(each.__doc__).split()) for each in errors}


ERROR_CODES = (
    # 400: the body, the query or a header cannot be read.
    *_codes(400, NextStep.CORRECT,
        malformed_json="The body is not one JSON document in UTF-8 (RFC 8259) without a byte order mark.",
        malformed_ndjson="A line of the body is not one JSON document in UTF-8; the message names the line.",
        malformed_csv="The body is not CSV (RFC 4180) in UTF-8 with a header line and the same number of cells in each line.",
        malformed_msgpack="The body is not one MessagePack map with texts as keys.",
        malformed_arrow="The body is not an Arrow IPC stream, is damaged, or has compressed buffers.",
        duplicate_key="An object of the body has a key twice, or the body has a column twice.",
        nesting_too_deep="The body is nested deeper than 500 levels.",
        document_too_large="The body has more than 250,000 lists and objects or 2,000,000 values, or needs more memory than 6 times its length and 16 MiB. Split the batch.",
        invalid_idempotency_key="Idempotency-Key is not 1-255 visible ASCII characters, quoted or bare.",
        unknown_parameter="The endpoint has no such query parameter; the message gives the nearest name.",
        repeated_parameter="A query parameter is given more than once.",
        empty_parameter="A query parameter has no value.",
        missing_parameter="A required query parameter is missing.",
        invalid_parameter="The value of a query parameter is not allowed.",
        invalid_limit="`limit` is not a whole number between 1 and 10,000.",
        invalid_timestamp="A time is neither ISO 8601 / RFC 3339 nor an epoch integer of 10, 13, 16 or 19 digits.",
        timestamp_out_of_range="A time lies outside the years 1900 to 2200.",
        invalid_range="`start` is not before `end`, or `since` is not before `until`.",
        range_too_large="The answer would be too long. Ask for a shorter range.",
        conflicting_parameters="Two query parameters, or a path's suffix and `format`, exclude each other; the message names both.",
        unknown_column="`fields` names a column that the answer lacks; the message gives the nearest name.",
        invalid_fields="`fields` is not a list of different column names, separated by commas.",
        invalid_number="A query parameter is not a plain decimal number within its bounds.",
        invalid_duration="A query parameter is not a length of time: a whole number with a unit, such as 250ms.",
        too_many_symbols="`symbols` has more than 50 symbols, or an export's universe more than 1,000 members.",
        repeated_symbol="`symbols` has a symbol twice.",
        no_exchange="The instrument has no exchange, so it has no sessions. Set the exchange, or ask with session=utc and hours=all.",
        too_many_parameters="A query or a form has more than 1,000 fields, or a form has a file.",
        invalid_host="The Host header names no host of this service.",
        malformed_request="The request is malformed.",
    ),
    *_codes(400, NextStep.BEGIN_ANEW,
        invalid_cursor="The cursor was not made here, is incomplete, or belongs to another query.",
    ),
    *_codes(400, NextStep.CORRECT,
        invalid_resume_token="The text is no resume token of this log. Send a `seq`, the log's part of `X-Commit`, or 0; of an account the number of an event.",  # noqa: S106 a meaning
        malformed_message="A message over WebSocket is no JSON object with a known `op`, or has wrong members.",
        unknown_channel="No channel has this name. Channels are trades, quotes, status and bars.1m of a :SYMBOL; orders, alerts and portfolio of an :ACCOUNT.",
        too_many_channels="A connection has at most 1,000 channels.",
        **_meanings(trading.AccountRequired),
        **_meanings(trading.OnceRequired),
    ),
    # 401 and 403: the caller is unknown, or is not allowed to do this.
    *_codes(401, NextStep.OTHER_CREDENTIAL,
        not_authenticated="The request has no credential. Send `Authorization: Api-Key …` or `X-API-Key: …`.",
        **_meanings(ratelimit.InvalidApiKey, ratelimit.ExpiredApiKey, ratelimit.RevokedApiKey,
            ratelimit.InvalidCertificate),
    ),
    *_codes(401, NextStep.CORRECT,
        **_meanings(ratelimit.InvalidAuthorization, ratelimit.AmbiguousCredentials),
    ),
    *_codes(401, NextStep.SIGN_AGAIN,
        **_meanings(ratelimit.SignatureRequired, ratelimit.InvalidSignature, ratelimit.SignatureExpired,
            ratelimit.DigestMismatch, ratelimit.NonceUsed),
    ),
    *_codes(401, NextStep.OTHER_CREDENTIAL,
        **_meanings(ratelimit.InvalidToken, ratelimit.InvalidLogin),
    ),
    *_codes(403, NextStep.OTHER_CREDENTIAL,
        https_required="The API must be called over https. The credential was sent unencrypted: replace it.",
    ),
    *_codes(403, NextStep.MORE_ACCESS,
        missing_scope="The caller lacks the scope that the message names.",
        insufficient_sensitivity="The caller lacks the clearance for the sensitivity that the message names.",
        forbidden="The caller may not do this. In a browser's session: the CSRF token may be missing.",
        invalid_link="The link was altered, or its maker may not see the export any more. Ask for another link.",
        **_meanings(ratelimit.NetworkNotAllowed, ratelimit.GrantExceeded),
    ),
    # 404 to 415: the resource does not exist, or does not have this form or state.
    *_codes(404, NextStep.ASK_OTHERWISE,
        not_found="There is nothing at this path.",
        unknown_symbol="Nothing was ever stored under this symbol.",
        not_known_then="Nothing was known of the symbol at `as_of`; the message names the first instant at which something was.",
        **_meanings(ratelimit.UnknownKey),
        wrong_class="The symbol belongs to another class of instruments; the message names its path.",
        resolution_unavailable="The symbol has no data of this resolution or a finer resolution.",
        no_data="The symbol is known and has no data in the range.",
        **_meanings(trading.NoSuchAccount, trading.UnknownOrder,
            trading.UnknownModel, trading.UnknownWatchlist),
        **_meanings(trading.UnknownPosition, trading.UnknownPreview),
    ),
    *_codes(404, NextStep.CORRECT,
        no_contract="The option's underlying, expiry, strike or right is not known. Declare the terms, or use the OCC symbol.",
    ),
    *_codes(405, NextStep.ASK_OTHERWISE,
        method_not_allowed="The path does not support this method; `Allow` lists the supported methods.",
    ),
    *_codes(406, NextStep.ASK_OTHERWISE,
        not_acceptable="The answer is not available in any format of `Accept` or `format`.",
    ),
    *_codes(408, NextStep.RETRY,
        request_timeout="Headers or body did not arrive in time.",
    ),
    *_codes(409, NextStep.RETRY, 1,
        in_progress="A request with this Idempotency-Key is still running.",
    ),
    *_codes(409, NextStep.ASK_OTHERWISE,
        feed_of_setting="The setting FEEDS has this feed, so no call ends it. Take it out there, and start the server anew.",
    ),
    *_codes(409, NextStep.LOOK_FIRST,
        too_many_jobs="The caller has its maximum of unfinished jobs of this kind; the message gives the number. Wait for a job's end, or cancel a job.",
        export_quota="The caller's exports have as many bytes as they may have. Delete an export, or wait until one expires.",
        export_unfinished="The export has not ended. Cancel its job: the files are deleted then.",
        upload_offset_mismatch="The upload does not go on at this offset. Go on at the offset of the header `Upload-Offset`.",
        confirmation_not_needed="The job has not asked for confirmation, or has ended without it. Get the job.",
        too_many_uploads="The caller's unfinished uploads have as many bytes as they may. Wait for their jobs, or cancel some.",
    ),
    *_codes(409, NextStep.RETRY, 1,
        upload_busy="Another request sends to this upload. A connection that was cut ends within seconds.",
    ),
    *_codes(409, NextStep.BEGIN_ANEW,
        resync="The log was restored since the cursor or token was made, or (options only) a commit that was in progress then has ended.",
    ),
    *_codes(409, NextStep.CORRECT,
        **_meanings(ratelimit.NotRotatable, ratelimit.TooManyKeys),
    ),
    *_codes(409, NextStep.LOOK_FIRST,
        already_made="The first request with this Idempotency-Key made the API key, and its answer can no longer be "
        "decrypted.",
        **_meanings(trading.AccountExists, trading.TradingStopped, trading.TradingHalted,
            trading.OrderNotOpen, trading.PreviewExpired, trading.PreviewUsed, trading.PreviewStale,
            trading.NoReferencePrice, trading.NoRate, trading.NoModel, trading.StrategyNameTaken,
            trading.ModelInUse, trading.AccountNotValued),
    ),
    *_codes(410, NextStep.ASK_OTHERWISE,
        expired="The rows of these dates have expired (`RETENTION`). The message names the date, and what is left: bars of a minute and longer, and later rows.",
        export_expired="The export's files were deleted. Export again: the job's `parameters` make the same files.",
        link_expired="The time of the link is over. Ask for another link.",
    ),
    *_codes(412, NextStep.LOOK_FIRST,
        file_changed="The file has another ETag than `If-Match` names. Look at the file's ETag.",
        **_meanings(trading.RiskVersionChanged),
    ),
    *_codes(413, NextStep.CORRECT,
        body_too_large="The body exceeds the endpoint's limit, which the message gives. Split the batch.",
    ),
    *_codes(414, NextStep.CORRECT,
        target_too_long="Path and query have more than 16 KiB together.",
    ),
    *_codes(415, NextStep.CORRECT,
        unsupported_media_type="The endpoint does not read the body's Content-Type, or the body is compressed (only identity is allowed).",
    ),
    *_codes(416, NextStep.CORRECT,
        range_not_satisfiable="The file ends before the range of `Range` begins; `Content-Range` gives its size.",
    ),
    # 422: the body or the query can be read, but its content is wrong.
    *_codes(422, NextStep.CORRECT,
        validation_failed="Fields are wrong; `errors` has the paths of up to a hundred.",
        invalid_key_request="A key cannot have this value: a name that looks like a secret, a text that is not a "
        "network, an expiry in the past, another key's certificate. `errors` names the field.",
        empty_batch="The list of rows, or of corrections, is empty.",
        too_many_rows="The batch has more than 100,000 rows, or 10,000 corrections or rows with `on_conflict=replace`.",
        too_many_dates="The batch touches more than 366 dates.",
        complete_until_ahead="`complete_until` is more than 60 seconds in the future.",
        mixed_symbols="The batch has several symbols. Send a batch for each symbol.",
        mixed_resolutions="A row and the query have different resolutions.",
        unequal_columns="The columns of the batch do not all have the same number of values.",
        not_an_option="The symbol of option quotes is not an option. Use the OCC symbol, or declare class, underlying, "
        "expiry, strike and right first.",
        unknown_condition="A condition's meaning is not known, and the instrument refuses such rows (`unknown_conditions`).",
        nonpositive_price="A price is zero or less, without the instrument's `allow_nonpositive_price`.",
        negative_price="A bid or an ask is less than zero, without the instrument's `allow_nonpositive_price`.",
        negative_volume="A volume is less than zero.",
        negative_size="A size, or an open interest, is less than zero.",
        missing_side="A quote has neither a bid nor an ask.",
        misplaced_bar="A bar's timestamp is not the start of an interval of its resolution.",
        inconsistent_bar="A bar's open or close does not lie between its low and its high.",
        inconsistent_action="The fields do not fit the action. A split has a ratio, no amount and no currency; a dividend an amount "
        "and no ratio; a spin-off an amount; a rename none of these.",
        unknown_field="The dataset has no such field; `unknown=ignore` ignores the field.",
        trade_id_conflict="A stored trade of the same time and exchange has this trade_id and other values.",
        correction_target_not_found="A correction matches no stored row; `errors` names the corrections.",
        correction_ambiguous="A correction matches several rows that differ. Add more of the row's values, such as `trade_id`.",
        row_conflict="A row contradicts a stored row, such as another close of a bar. Correct the stored row, or send "
        "`on_conflict=replace`.",
        alias_taken="An alias is a symbol with data, or another instrument's symbol, or another instrument's alias at the "
        "same time.",
        idempotency_key_reused="The Idempotency-Key was used for another body or query.",
        upload_refused="A job failed: the uploaded file is not complete, or cannot be read; nothing was stored.",
        upload_digest_mismatch="A job failed: the uploaded file does not have the SHA-256 that was declared; nothing was stored.",
        confirmation_expired="A job failed: nobody confirmed it within a day, and nothing was stored. Submit it again.",
        source_refused="There is no such source, or a job failed: the source does not give what was asked. The message says why.",
        **_meanings(trading.RiskRefused, trading.ClientOrderIdReused, trading.NotTradable,
            trading.OverrideTooHigh, trading.InvalidTransfer, trading.StrategyFailed),
        invalid_symbol="A symbol has 1-32 characters of A-Z 0-9 . _ - = ^ : + & and single inner spaces.",
        unknown_resolution="The resolution breaks the rule that the message states.",
        unknown_interval="The interval is not one of 1min, 5min, 1h, 1d.",
        unknown_exchange="The hours of this exchange or calendar are not known; the message has the nearest name, or all names.",
    ),
    *_codes(426, NextStep.ASK_OTHERWISE,
        upgrade_required="This path opens a WebSocket. Connect with a WebSocket client.",
    ),
    *_codes(428, NextStep.CORRECT,
        **_meanings(trading.PreconditionRequired),
    ),
    # 429 and above: limits of callers and of the server, and its failures.
    *_codes(429, NextStep.RETRY,
        rate_limited="The caller's rate limit is reached; `Retry-After` has the seconds to wait.",
        quota_exceeded="The quota of the day or of the month is used up; `Retry-After` has the seconds until the next begins.",
    ),
    *_codes(429, NextStep.RETRY, 1,
        too_many_connections="Too many connections are open from this address.",
        **_meanings(ratelimit.TooManyStreams),
        too_many_live_connections="The caller has its maximum of live connections open. Subscribe over these.",
    ),
    *_codes(431, NextStep.CORRECT,
        headers_too_large="The request's headers have more than 64 KiB.",
        header_too_long="A header has more than 16 KiB, its name included.",
        too_many_headers="The request has more than 100 headers.",
    ),
    *_codes(500, NextStep.REPORT,
        internal_error="The server failed unexpectedly. Report the correlation id.",
        worker_lost="A job was given up, because its worker ended repeatedly during the job.",
    ),
    *_codes(503, NextStep.RETRY, 1,
        server_busy="The server receives or decodes too many bytes or checks too many passwords at once, or the process that decoded the body was ended; nothing was stored.",
        store_unavailable="The store cannot be used now; nothing was stored.",
        server_unavailable="The proxy got no answer from the server. Repeat a write with its Idempotency-Key.",
        database_unavailable="The database cannot be used now.",
        source_failed="A job was given up, because a source repeatedly gave no answer or a wrong answer.",
        **_meanings(trading.EngineUnavailable),
        store_busy="Another process holds the lock of the symbol or of the instruments; nothing was stored.",
        audit_unavailable="The audit log cannot record the call now, so nothing was done.",
    ),
    *_codes(503, NextStep.LOOK_FIRST, 1,
        outcome_unknown="The disk did not confirm the commit. Send a batch again: stored rows are recognised. Check the state "
        "before you send any other change again.",
    ),
    *_codes(503, NextStep.REPORT, 60,
        data_damaged="Stored bytes that the answer needs are damaged. The operator must restore the file.",
        log_ahead_of_clock="The newest commit of the log is far ahead of the server's clock; nothing was stored. The operator can wait, allow it, or cut the log.",
    ),
    *_codes(507, NextStep.RETRY, 10,
        store_full="No space is left; nothing was stored.",
    ),
)  # fmt: skip
DECLARED = {error.code: error for error in ERROR_CODES}
