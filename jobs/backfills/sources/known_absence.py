"""Where another installation is known to have all trades, so that the absence of a row means that nobody traded."""

from collections.abc import Mapping
from typing import Any

from ops.outbound.destination import Destination
from ops.outbound.exceptions import AnswerMalformed, AnswerTooLarge, UnexpectedStatus
from store.datasets import TRADES
from store.protocol import Window
from store.timestamps import InvalidTimestamp, format_timestamp, parse_timestamp

# The reason of a run of intervals in which nothing is missing.
_NOBODY_TRADED = "no_trades"
_NOT_TOLD = (
    UnexpectedStatus,
    AnswerMalformed,
    AnswerTooLarge,
    InvalidTimestamp,
    LookupError,
    StopIteration,
    TypeError,
    AttributeError,
)


def window_terms(window: Window) -> dict[str, str]:
    """Return a window as query parameters."""
    return {"start": format_timestamp(window.start_ns), "end": format_timestamp(window.end_ns)}


def known_windows(destination: Destination, path: str, window: Window, commit: str) -> tuple[Window, ...]:
    """Return the parts of a window from the first trade on that are no gap over there, as of a commit of trades.

    path: of the symbol. Empty if the installation does not tell, or only of a later commit. Raises
    `OutboundError`s if it cannot be asked now.
    """
    try:
        terms = {**window_terms(window), "resolution": "1m", "hours": "all"}
        gaps = _document(destination, f"{path}/gaps", commit, terms)["gaps"]
        stored = _document(destination, f"{path}/coverage", commit, {})["datasets"]
        first = next(each["first"] for each in stored if each["dataset"] == TRADES.name)
        holes = [_window(each) for each in gaps if each["reason"] != _NOBODY_TRADED]
        return tuple(window.without([Window(window.start_ns, parse_timestamp(first)), *holes]))
    except _NOT_TOLD:
        return ()


def _document(destination: Destination, path: str, commit: str, terms: Mapping[str, str]) -> Any:
    """Return the document of a report. Raises `AnswerMalformed` if it is as of another commit."""
    document, headers = destination.get_json(path, params=terms)
    if not {*commit.split(", ")} <= {*headers.get("X-Commit", "").split(", ")}:
        raise AnswerMalformed(destination.name, "the report is as of another commit")
    return document


def _window(gap: Any) -> Window:
    return Window(parse_timestamp(gap["start"]), parse_timestamp(gap["end"]))
