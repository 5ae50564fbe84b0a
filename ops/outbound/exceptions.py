"""Why a destination gave no answer.

    OutboundError
    ├── DestinationRefused       the URL, the scheme or an address is not allowed
    ├── BreakerOpen              too many calls failed; none is made for a while
    ├── DestinationUnavailable   no connection, a timeout, or a status that says "later"
    │   └── AnswerCut            the connection broke within the answer
    ├── UnexpectedStatus         the answer's status is not 2xx
    ├── AnswerTooLarge           the answer has more bytes than allowed
    └── AnswerMalformed          the answer is not in the form that was asked for

The texts name the destination and never contain a header, a query or a text of the destination.
"""

import json
import re


class OutboundError(Exception):
    """A call of another host failed.

    destination: the name of the destination.
    """

    def __init__(self, destination: str, message: str) -> None:
        super().__init__(f"{destination}: {message}")
        self.destination = destination


class DestinationRefused(OutboundError):
    """The settings do not allow this URL or address. The operator corrects the URL or `OUTBOUND_*`; no retry helps."""


class BreakerOpen(OutboundError):
    """The last calls failed, so this one was not made. Call again after `retry_after` seconds."""

    def __init__(self, destination: str, retry_after: float) -> None:
        super().__init__(
            destination,
            f"the last calls failed; the next one is made after at most {retry_after:.0f} s",
        )
        self.retry_after = retry_after


class DestinationUnavailable(OutboundError):
    """The destination did not answer, or answered "later", in all attempts. Call again later.

    retry_after: the seconds that the destination asks to wait; None if it asks for none.
    """

    def __init__(self, destination: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(destination, message)
        self.retry_after = retry_after


class AnswerCut(DestinationUnavailable):
    """The connection broke, or a time ran out, within the answer: the bytes so far are not all. Call again."""


class UnexpectedStatus(OutboundError):
    """The destination refused the request, or redirected it. The request or the credentials must change.

    status: the HTTP status. body: the answer's first bytes, not to be shown or logged.
    """

    def __init__(self, destination: str, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        super().__init__(destination, f"answered {status}")

    @property
    def code(self) -> str:
        """The code of another installation's problem, or the case of Databento's; "" for a text that is no code."""
        try:
            problem = json.loads(self.body)
            code = problem.get("code") or problem["detail"].get("case")
        except (ValueError, AttributeError, LookupError, RecursionError):
            return ""
        # A key has digits or capitals: a destination that gives ours back as its code is not quoted.
        return code if isinstance(code, str) and re.fullmatch("[a-z_]{1,64}", code) else ""


class AnswerTooLarge(OutboundError):
    """The answer has more bytes than the destination's `max_bytes`. Ask for less, or raise the limit."""


class AnswerMalformed(OutboundError):
    """The answer is not what its protocol says. Whoever runs the destination must act."""
