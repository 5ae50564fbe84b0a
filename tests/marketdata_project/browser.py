"""A real browser without a window, driven over a pipe by the Chrome DevTools Protocol."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

import orjson
import pytest

from tests.patience import PATIENCE_SECONDS

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# In every document before its own: what its policy refuses, said by the browser itself.
LISTENER = """
window.refusedByPolicy = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.refusedByPolicy.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));
"""


def program() -> str:
    """The browser; a test without one is skipped, or fails where everything is required."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is not None:
        return found
    message = "there is no chromium"
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(message)
    pytest.skip(message)


@dataclass
class Browser:
    """One page of it; `complaints` are what its console has said of errors since the page was opened."""

    to_browser: int
    from_browser: int
    complaints: list[str] = field(default_factory=list)
    _session: str = ""
    _number: int = 0
    _unread: bytes = b""
    _loaded: bool = False

    def begin(self) -> None:
        """Open the page and listen."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=LISTENER)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a command of the protocol gives."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self.to_browser, orjson.dumps(message) + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def open(self, url: str) -> None:
        """Go there and wait until everything is loaded."""
        self.complaints.clear()
        self._loaded = False
        failed = self.call("Page.navigate", url=url).get("errorText")
        assert failed is None, (url, failed)
        self.await_load()

    def await_load(self) -> None:
        """Wait for the page that is being loaded."""
        while not self._loaded:
            self._next()
        self._loaded = False

    def evaluate(self, expression: str) -> Any:
        """What an expression gives in the page; the DevTools stand above its policy."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def await_true(self, expression: str) -> bool:
        """Whether an expression comes true in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    @property
    def refused(self) -> list[str]:
        """What the policy of the page that is open has refused to it."""
        return list(self.evaluate("window.refusedByPolicy"))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            assert select([self.from_browser], [], [], PATIENCE_SECONDS)[0], "the browser says nothing"
            read = os.read(self.from_browser, 2**20)
            assert read, "the browser has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        event: dict[str, Any] = orjson.loads(message)
        self._note(event.get("method", ""), event.get("params", {}))
        return event

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.complaints.append(f"{said['entry'].get('url', '')}: {said['entry']['text']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own in `folder`, and end it."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def hand_over() -> None:
        # The protocol's pipes are the descriptors 3 and 4; copies first, lest one overwrites the other.
        reading, writing = os.dup(theirs_in), os.dup(theirs_out)
        os.dup2(reading, 3)
        os.dup2(writing, 4)

    command = [
        program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--remote-debugging-pipe",
        f"--user-data-dir={folder}",
    ]  # fmt: skip
    with (folder.parent / "browser.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            close_fds=False,
            preexec_fn=hand_over,  # noqa: PLW1509 a process of one thread
            process_group=0,
        )
    os.close(theirs_in)
    os.close(theirs_out)
    browser = Browser(ours_out, ours_in)
    try:
        browser.begin()
        yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        os.close(ours_out)
        os.close(ours_in)
