"""What a newcomer waits for: `python -m benchmarks.first_minutes FOLDER [REPOSITORY]`.

Clones into the empty FOLDER and runs `make run` there, as the README says. Opens the printed link in a headless
Chromium, and waits until candles have moved. Then runs the client's two examples. Prints a table of commands and seconds.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.chromium import chromium

_MOST_SECONDS = 600
_NEWEST = ".candles-spoken >> nth=0"


@contextmanager
def _served(folder: Path) -> Iterator[Path]:
    """`make run`; what it prints is in the file that this gives."""
    printed = folder / "printed.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=folder,
            env={**os.environ, "PORT": "0"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield printed
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def _printed(file: Path, pattern: str) -> str:
    """Wait until a file has a text, and return it."""
    end = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < end:
        if found := re.search(pattern, file.read_text(errors="replace")):
            return found[0]
        time.sleep(0.1)
    raise TimeoutError(file.read_text(errors="replace"))


def _candles_move(link: str) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto(link)
        page.goto(f"{link.split('/login', maxsplit=1)[0]}/#symbol=DEMO-USD&resolution=1m")
        expect(page.locator(_NEWEST)).to_contain_text("The newest")
        before = page.locator(_NEWEST).inner_text()
        expect(page.locator(_NEWEST)).not_to_have_text(before)


def _seconds(title: str, work: Callable[[], object]) -> None:
    began = time.monotonic()
    work()
    print(f"| {title} | {time.monotonic() - began:.1f} |", flush=True)


def main(folder: Path, repository: str) -> None:
    print("| | seconds |\n|---|---|")
    began = time.monotonic()
    _seconds("`git clone`", lambda: subprocess.run(["git", "clone", "-q", repository, folder], check=True))
    with _served(folder) as printed:
        _seconds("`make run`, until it prints the link", lambda: _printed(printed, r"http\S+/login/link\S+"))
        link = _printed(printed, r"http\S+/login/link\S+")
        _seconds("the link in a browser, until candles move", lambda: _candles_move(link))
        print(f"| all of this | {time.monotonic() - began:.1f} |")
        key = _printed(printed, r"md_\w+")
        env = {**os.environ, "KEY": key, "URL": link.split("/login")[0]}
        for name in ("first_frame", "live_trade"):
            command = [".venv/bin/python", f"clients/python/examples/{name}.py"]
            run = partial(subprocess.run, command, cwd=folder, env=env, check=True, stdout=sys.stderr)
            _seconds(f"`{' '.join(command)}`", run)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ".")
