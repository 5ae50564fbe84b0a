"""What tests over a running installation measured, told at the end of a run."""

from collections.abc import Callable
from typing import Any

from tests.run_report import properties_of

_PROPERTY = "hostile"

Told = Callable[[str, str], None]


def teller(item: Any) -> Told:
    """A function that takes a subject and what a test measured of it; reported whatever the test's outcome."""

    def tell(subject: str, measured: str) -> None:
        item.user_properties.append((_PROPERTY, (subject, measured)))

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what this run measured, in the order of the tests."""
    lines = properties_of(terminalreporter, _PROPERTY)
    if lines:
        # Of what is told more than once the last word stands.
        found = dict(lines)
        width = max(map(len, found))
        terminalreporter.section("measured")
        terminalreporter.write("\n".join([*(f"{s.ljust(width)}  {found[s]}" for s in sorted(found)), ""]))
