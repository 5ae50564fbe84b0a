"""The kinds of events, and what a caller needs to be told of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from web.endpoints import ANY_CALLER, Access

_OWN = Access(ANY_CALLER)


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of events. access: of whoever is told. is_internal: webhooks cannot choose it."""

    text: str
    access: Access = _OWN
    is_internal: bool = False


TEST, PAUSED = "webhook.test", "webhook.paused"
EVENT_KINDS: Mapping[str, EventKind] = {
    "job.succeeded": EventKind("One's own job has succeeded."),
    "job.failed": EventKind("One's own job has failed."),
    "job.cancelled": EventKind("One's own job was cancelled."),
    PAUSED: EventKind("One's own other webhook was paused."),
    TEST: EventKind("The test that was asked for.", is_internal=True),
}
# What webhooks may choose.
CHOOSABLE = tuple(name for name, kind in EVENT_KINDS.items() if not kind.is_internal)
