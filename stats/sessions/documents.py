"""The documents of `/calendar` and `/clock`."""

from enum import StrEnum
from typing import Annotated

from web.documents import AnswerDocument, Date, Instant, about, like


class Phase(StrEnum):
    """The part of a trading date in which an instant lies; `closed` outside of trading."""

    PRE = "pre"
    REGULAR = "regular"
    BREAK = "break"
    POST = "post"
    CLOSED = "closed"


class SessionReason(StrEnum):
    """`special`: stored rows, or a correction of the library, prove the session."""

    SPECIAL = "special"


class BreakDocument(AnswerDocument):
    """A pause of trading within a session."""

    start: Annotated[Instant, like("2024-11-29T02:30:00Z")]
    end: Annotated[Instant, like("2024-11-29T03:30:00Z")]


class TradingDateDocument(AnswerDocument):
    """A trading date. Its session is from `open` to `close`, trading in extended hours from `pre` to `post`."""

    date: Annotated[Date, like("2024-11-29")]
    open: Annotated[Instant, about("For futures this may be on the evening before.", "2024-11-29T14:30:00Z")]
    close: Annotated[Instant, like("2024-11-29T18:00:00Z")]
    pre: Annotated[
        Instant | None, about("Start of pre-market; null if the calendar has none.", "2024-11-29T09:00:00Z")
    ]
    post: Annotated[
        Instant | None, about("End of post-market; null if the calendar has none.", "2024-11-29T22:00:00Z")
    ]
    early_close: Annotated[bool, like(True)]
    reason: Annotated[
        SessionReason | None,
        about("Why it is a trading date although the library's calendar is closed; else null.", None),
    ]
    breaks: Annotated[list[BreakDocument], like([])]


class CalendarAnswerDocument(AnswerDocument):
    """Trading dates, ascending. On all other dates of the range the exchange is closed."""

    exchange: Annotated[
        str, about("Of an instrument without an exchange it is the name of its calendar.", "XNYS")
    ]
    symbol: Annotated[str | None, about("The instrument; null for the calendar of an exchange.", None)]
    calendar: Annotated[str, about("Its name in pandas-market-calendars.", "NYSE")]
    timezone: Annotated[str, like("America/New_York")]
    holidays_known_until: Annotated[
        Date | None,
        about(
            "The last date whose holidays are known; later weekdays may be holidays. Null if none is unknown.",
            None,
        ),
    ]
    dates: list[TradingDateDocument]


class ClockAnswerDocument(AnswerDocument):
    """An exchange's state at an instant."""

    timestamp: Annotated[Instant, like("2024-11-29T12:00:00Z")]
    exchange: Annotated[str | None, like("XNYS")]
    is_open: Annotated[bool, about("Whether regular trading is in progress.")]
    phase: Phase
    date: Annotated[Date, about("The instant's trading date; on a closed day the next one.", "2024-11-29")]
    next_open: Annotated[
        Instant | None,
        about(
            "When regular trading next starts, also after a break; null if trading never ends.",
            "2024-11-29T14:30:00Z",
        ),
    ]
    next_close: Annotated[
        Instant | None,
        about(
            "When regular trading next stops, also for a break; null if trading never ends.",
            "2024-11-29T18:00:00Z",
        ),
    ]
