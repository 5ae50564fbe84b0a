"""The kinds of events, and what a caller needs to be told of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from web.endpoints import ANY_CALLER, Access

_OWN = Access(ANY_CALLER)
_TRADING = Access("trading:read", sensitivity="confidential")
_MARKET = Access("market:read", sensitivity="internal")


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of events. access: of whoever is told. is_internal: webhooks cannot choose it."""

    text: str
    access: Access = _OWN
    is_internal: bool = False


TEST, PAUSED, ALERT_FIRED = "webhook.test", "webhook.paused", "alert.fired"
EVENT_KINDS: Mapping[str, EventKind] = {
    "job.succeeded": EventKind("One's own job has succeeded."),
    "job.failed": EventKind("One's own job has failed."),
    "job.cancelled": EventKind("One's own job was cancelled."),
    "order.accepted": EventKind("An order passed all checks.", _TRADING),
    "order.rejected": EventKind("An order was refused by a check.", _TRADING),
    "order.partially_filled": EventKind("A part of an order was filled.", _TRADING),
    "order.filled": EventKind("An order was filled whole.", _TRADING),
    "order.cancelled": EventKind("An order was cancelled.", _TRADING),
    "order.replaced": EventKind("Another order took an order's place.", _TRADING),
    "order.expired": EventKind("An order expired.", _TRADING),
    "execution": EventKind("A fill, with quantity, price and fee.", _TRADING),
    "risk.zone": EventKind("An account's drawdown zone changed, or its trading was halted.", _TRADING),
    "account.alert": EventKind("Any other alert of an account, such as a margin call.", _TRADING),
    "gap.found": EventKind("A gap is being filled, because an answer met it.", _MARKET),
    "gap.filled": EventKind("A gap was filled.", _MARKET),
    "gap.exhausted": EventKind("No source could fill a gap.", _MARKET),
    "correction": EventKind("Stored rows were corrected or cancelled.", _MARKET),
    "key.expiring": EventKind("One's own key, or one that one owns, expires in 14, 7 or 1 days."),
    ALERT_FIRED: EventKind("One's own alert has fired.", Access("market:read")),
    PAUSED: EventKind("One's own other webhook was paused."),
    TEST: EventKind("The test that was asked for.", is_internal=True),
}
# What webhooks may choose.
CHOOSABLE = tuple(name for name, kind in EVENT_KINDS.items() if not kind.is_internal)
