"""The tutorial's steps do what the page says, one after the other, on a server with the sample."""

import os
import re
import subprocess
import sys
from functools import partial

import pytest
from django.conf import settings

from tests.front.front_server import eventually
from tests.patience import PROGRAM_SECONDS
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("sample")

PAGE = (settings.BASE_DIR / "docs" / "tutorial.md").read_text()
# What the commands of a step print, in order; the server of step 1 runs already.
SAID = {
    2: "11/03/2025 09:31:27,ACME,51.98,1000",
    3: "2025-11-03",
    4: "975 stored",
    5: "XNAS",
    6: '"date":"2025-11-07"',
    8: "close",
    9: '"commit":2',
    10: '"before_open":51.98',
    11: "Sharpe",
    12: "trend.py",
    13: "grids/trend.html",
    14: '"symbol":"DEMO-USD"',
    15: '"status":"stop',
}


def steps() -> dict[int, str]:
    parts = re.split(r"^## (\d+)\. .*$", PAGE, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_there_are_fifteen_steps():
    assert list(steps()) == list(range(1, 16))


def test_each_step_does_what_the_page_says(sampled: Installation):
    strategy = sampled.served.data_dir / "strategies" / "trend.py"
    environment = {
        **os.environ,
        "URL": f"http://127.0.0.1:{sampled.port}",
        "KEY": sampled.key,
        "DATA_DIR": str(sampled.served.data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "REDIS_URL": "",
    }

    def printed(command: str) -> str:
        command = command.replace(".venv/bin/python", sys.executable)
        done = subprocess.run(
            ["bash", "-c", command], check=False, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True,
            timeout=PROGRAM_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    for number, text in list(steps().items())[1:]:
        commands = re.findall(r"^```\n((?:\.venv/|curl |head ).*?)\n```$", text, re.DOTALL | re.MULTILINE)
        for command in commands[:-1]:
            printed(command)
        if commands:
            does_say = partial(lambda command, said: said in printed(command), commands[-1], SAID[number])
            assert eventually(does_say), (number, printed(commands[-1]))
        for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            assert code in strategy.read_text()
