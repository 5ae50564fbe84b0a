"""What tests leave to be told at the end of a run: properties of theirs, whatever their outcome."""

from typing import Any


def properties_of(terminalreporter: Any, name: str) -> list[tuple[Any, ...]]:
    """The properties of that name, in the order of the tests."""
    return [
        tuple(value)
        for reports in terminalreporter.stats.values()
        for outcome in reports
        if getattr(outcome, "when", None) == "teardown"
        for told, value in outcome.user_properties
        if told == name
    ]
