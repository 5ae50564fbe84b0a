"""How rooms below the webhooks tell of events."""

from collections.abc import Callable

from ops.needs import Need

EVENT_WRITE: Need[Callable[..., object]] = Need("web.events.EVENT_WRITE")
"""`webhooks.events.event_write`."""
