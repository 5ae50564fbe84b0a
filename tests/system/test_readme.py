"""The FIRST_CALLS's calls answer as printed; those of trading but for ids, times, prices and what follows from prices."""

import json
import os
import re
import subprocess
from typing import Any

import pytest

from tests.docs.test_pages import AGAIN, FIRST_CALLS, README, blocks_from, body_in
from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import INGEST, connected
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("sample")

SECTION = re.compile(r"^## Trade on paper\n(.*?)(?:^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
# Numbers that no price moves.
EXACT = {"quantity", "filled_quantity", "remaining", "stop_loss", "risk_level", "without_r"}
EXACT |= {"trades", "total_estimate", "period_days"}


def calls() -> list[tuple[str, Any]]:
    """Return the section's calls, each with its answer. `…` stands for anything."""
    section = SECTION.search(FIRST_CALLS.read_text())
    assert section
    blocks = BLOCK.findall(section[1])
    answers = [re.sub(r"\{…\}|\[…\]", '"…"', block).replace(",…}", ',"…":"…"}') for block in blocks[1::2]]
    return [(call, json.loads(answer)) for call, answer in zip(blocks[::2], answers, strict=True)]


def is_as_printed(found: Any, printed: Any, name: str = "") -> bool:
    """Whether an answer has the printed members, and their values where they do not depend on ids, times and prices."""
    if isinstance(printed, str) and printed.endswith("…"):
        return True
    if printed == "stopping":
        return found in {"stopping", "stopped"}
    if isinstance(printed, dict):
        named = printed.keys() - {"…"}
        is_whole = named == found.keys() or (printed.keys() != named and named <= found.keys())
        return is_whole and all(is_as_printed(found[each], printed[each], each) for each in named)
    if isinstance(printed, list):
        return len(found) == len(printed) and all(map(is_as_printed, found, printed))
    is_number = isinstance(printed, int | float) and not isinstance(printed, bool)
    return isinstance(found, int | float) if is_number and name not in EXACT else found == printed


def test_the_calls_answer_as_printed(sampled: Installation):
    call, stored, bars, document = blocks_from(FIRST_CALLS, INGEST)[:4]
    again = stored.replace('"stored":3,"duplicates":0,"duplicate_rows":[]', AGAIN)
    path = re.search(r"8000(/v1/stats/ohlc[^\"]*)", bars)
    assert path is not None
    with connected(sampled.port, sampled.key) as client:
        assert [client.ingest(body_in(call)).body.decode() for _ in range(2)] == [stored, again]
        assert client.get(path[1]).body.decode() == document


def test_the_calls_of_trading_answer_as_printed(sampled: Installation):
    assert len(calls()) == 7
    preview = ""
    found: dict[str, Any] = {}
    for call, printed in calls():
        command = call.replace(":8000", f":{sampled.port}").replace(".eJwljUsKg…", preview)

        def answers(command: str = command, printed: Any = printed) -> bool:
            environment = {**os.environ, "KEY": sampled.key}
            text = subprocess.run(
                ["bash", "-c", command], env=environment, capture_output=True, check=True
            ).stdout
            found.clear()
            found.update(json.loads(text))
            return is_as_printed(found, printed)

        assert eventually(answers, seconds=PATIENCE_SECONDS), f"{call}: {json.dumps(found)}"
        preview = found.get("preview_id", "")


def test_the_lines_of_python_in_the_readme_run(sampled: Installation):
    block = re.search(
        r"^```python\n(from marketdata_client.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE
    )
    assert block
    lines = block[1].replace(":8000", f":{sampled.port}").replace("md_…", sampled.key)
    names: dict[str, Any] = {}
    exec(lines, names)
    names["client"].close()
    assert len(names["bars"]) == 500
    assert names["order"]["status"] == "accepted"
    assert names["result"]["performance"]["trades"] > 0
