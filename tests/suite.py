"""A plugin of pytest: which tests run, with how many examples, and in which process of xdist."""

import gc
import os

import pytest
from hypothesis import settings as hypothesis_settings

from tests.chance import SOAK, chosen_seed
from tests.group_servers import end_servers, end_servers_of_group
from tests.migrated_database import template_remove

# How long one example takes says nothing about the code. Usual runs try the same examples each time.
hypothesis_settings.register_profile("usual", deadline=None, max_examples=10, derandomize=True)
hypothesis_settings.register_profile("soak", deadline=None, max_examples=100, print_blob=True)
hypothesis_settings.load_profile("soak" if SOAK else "usual")
# Thousands of tests are made before the first one runs, and live to the end: to look for garbage among them takes 10 s.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a module in one process, so that what they share is made once."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the soak without SOAK=1."""
    if not SOAK:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("soak")])
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    end_servers_of_group(item, nextitem)


def pytest_sessionfinish() -> None:
    end_servers()
    # Of the workers of one run none knows whether it is the last one to need the template: their parent is.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        template_remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"SEED={chosen_seed()}")
