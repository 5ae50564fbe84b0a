"""The README's calls of trading answer on the sample as printed, but for ids, times, prices and what follows from prices."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_pages import README
from tests.marketdata_project.front_server import eventually
from tests.marketdata_project.serve_process import serving
from tests.migrated_database import place_database
from tests.patience import PATIENCE_SECONDS

SECTION = re.compile(r"^## Trade on paper\n(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
# Numbers that no price moves.
EXACT = {"quantity", "filled_quantity", "remaining", "stop_loss", "risk_level", "without_r"}
EXACT |= {"trades", "total_estimate", "period_days"}


def calls() -> list[tuple[str, Any]]:
    """Return the section's calls, each with its answer. `…` stands for anything."""
    section = SECTION.search(README.read_text())
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


@pytest.mark.xdist_group("serve")
def test_the_readmes_calls_of_trading_answer_as_printed(tmp_path: Path):
    assert len(calls()) == 7
    place_database(tmp_path / "data")
    with serving(tmp_path, LOAD_SAMPLE="1") as served:
        key = served.says(r"API key \(shown once\): (md_\S+)")[1]
        port, preview = served.port, ""
        found: dict[str, Any] = {}
        for call, printed in calls():
            command = call.replace(":8000", f":{port}").replace("d2e46ff6-…", preview)

            def answers(command: str = command, printed: Any = printed) -> bool:
                text = subprocess.run(
                    ["bash", "-c", command], env={**os.environ, "KEY": key}, capture_output=True, check=True
                ).stdout
                found.clear()
                found.update(json.loads(text))
                return is_as_printed(found, printed)

            assert eventually(answers, seconds=PATIENCE_SECONDS), f"{call}: {json.dumps(found)}"
            preview = found.get("preview_id", "")
