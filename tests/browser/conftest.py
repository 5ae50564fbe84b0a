"""One installation with the sample, and one browser for each module."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import DESKTOP, SCREENSHOTS, Watched, chromium
from tests.front.front_server import eventually
from tests.group_servers import until_group_ends
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation, installed
from tests.system.traders import is_engine_alive, trader_key

# The prefix of a key that a test makes.
UDF_KEY = "udfchart"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the folder's tests into the system suite; those that share an installation into one process."""
    item.add_marker("system")
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A running installation with the sample, without its feed."""
    folder = tmp_path_factory.mktemp("browser")
    return until_group_ends(
        installed(folder, LOAD_SAMPLE="1", SAMPLE_FEED="0", ADDRESS_RATE="1000000", UDF_KEY=UDF_KEY)
    )


@pytest.fixture(scope="session")
def superuser(site: Installation) -> tuple[str, str]:
    """Name and password of somebody who may everything in the admin."""
    name, password = "lovelace", "the analytical engine 1843"
    site.served.add_superuser(name, password)
    return name, password


@pytest.fixture(scope="module")
def trader(site: Installation) -> Iterator[httpx.Client]:
    """A client that may do everything, at any rate."""
    assert eventually(lambda: is_engine_alive(site))
    headers = {"X-API-Key": trader_key(site, "*")}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{site.port}", headers=headers, timeout=PATIENCE_SECONDS
    ) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser. It ends with the module: Playwright's event loop must not stay beside other tests."""
    with chromium() as running:
        yield running


Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Browser, site: Installation) -> Opened:
    """A context manager that opens a watched page: `opened(**options)`.

    `options` are those of a browser context (DESKTOP, PHONE, DARK). login: whether somebody is logged in, by the
    first key.
    """

    @contextmanager
    def open_page(*, login: bool = False, **options: Any) -> Iterator[Watched]:
        base = f"http://127.0.0.1:{site.port}"
        context = browser.new_context(base_url=base, **(options or DESKTOP))
        if login:
            answer = context.request.post(
                "/api/v1/auth/token", data={"key": site.key}, headers={"X-Refresh": "cookie"}
            )
            assert answer.ok, answer.text()
        try:
            yield Watched(context.new_page(), base)
        finally:
            context.close()

    return open_page


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say where the screenshots are."""
    if SCREENSHOTS.is_dir():
        terminalreporter.write_line(f"Screenshots: {SCREENSHOTS}")
