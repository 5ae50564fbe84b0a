"""The system's Chromium, driven by Playwright, with what every page is checked for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.chance import SOAK
from tests.patience import PATIENCE_SECONDS

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PATIENCE_MS = PATIENCE_SECONDS * 1000
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}
DARK = {**DESKTOP, "color_scheme": "dark"}
_ALL = [("phone", PHONE), ("dark", DARK), ("desktop", DESKTOP)]
WINDOWS = pytest.mark.parametrize(("name", "options"), _ALL if SOAK else _ALL[:1])
_SERIOUS = ("serious", "critical")
# Without a network Chromium's own services would only log errors.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str:
    """Return the path of the system's Chromium; skips the test if there is none, and fails it under REQUIRE_ALL."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no Chromium")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    expect.set_options(timeout=PATIENCE_MS)
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and what went wrong in it: console errors, exceptions, requests to other hosts."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        self.page.on("request", self._request)

    def goto(self, path: str) -> None:
        """Open a path of the installation, or a whole URL."""
        self.page.goto(path if "://" in path else f"{self.base}{path}")

    def shoot(self, name: str) -> None:
        """Write a screenshot of the whole page to SCREENSHOTS, where SCREENSHOTS=1 or SOAK=1 asks for them."""
        if not (SOAK or os.environ.get("SCREENSHOTS")):
            return
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def axe(self, *, within: str | None = None) -> list[str]:
        """Return what axe-core finds that is serious or critical, in the page or in the part with this selector."""
        options = {"resultTypes": ["violations"]}
        found = Axe().run(self.page, context=within, options=options).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
            for each in found
            if each["impact"] in _SERIOUS
        ]

    def width_beyond(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} {message.location.get('url', '')}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(self.base).netloc:
            self.faults.append(f"request to another host: {request.url}")
