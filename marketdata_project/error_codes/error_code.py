"""What is declared of an error that a client can meet."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class NextStep(StrEnum):
    """What a client does when it gets a code."""

    CORRECT = "correct the request"
    ASK_OTHERWISE = "ask for something else"
    BEGIN_ANEW = "begin the walk anew"
    OTHER_CREDENTIAL = "send another credential"
    SIGN_AGAIN = "sign the request anew"
    MORE_ACCESS = "ask for more access"
    RETRY = "send it again, after `Retry-After` where it is given"
    LOOK_FIRST = "look what is there, then send it again"
    REPORT = "tell the operator"


class GivenBy(Enum):
    """Which operations of the OpenAPI document list a code, of those that list its status."""

    EVERY = auto()
    READS = auto()
    CHANGES = auto()
    CALLERS = auto()
    CALLERS_CHANGES = auto()
    SCOPED = auto()
    RESTRICTED = auto()
    LOGINS = auto()
    KEY_CHANGES = auto()
    DATA_CHANGES = auto()


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A code with its HTTP status, its meaning in sentences, and what the client does next.

    retry_seconds: what `Retry-After` says; None where there is no such header, or where the limit that refused
    computes it.
    """

    status: int
    code: str
    meaning: str
    next_step: NextStep = NextStep.CORRECT
    given_by: GivenBy = GivenBy.EVERY
    retry_seconds: int | None = None
