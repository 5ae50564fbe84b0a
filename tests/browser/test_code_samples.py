"""The samples of the documentation, pasted as they are, against a server with the sample data."""

import contextlib
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketdata_project.code_samples import KEY, ORIGIN
from tests.chance import SOAK
from tests.marketdata_project.test_openapi import operations
from tests.patience import PROGRAM_SECONDS
from tests.system.installation import Installation

pytestmark = pytest.mark.system


def of_market_data() -> list[dict[str, Any]]:
    return [each for name, each in operations().items() if name.startswith("get /api/v1/market-data/")]


@pytest.fixture(scope="module")
def origin(site: Installation) -> str:
    """Store what the examples tell, by their own samples, and the feed's coin; returns the installation's address."""
    origin, headers = f"http://127.0.0.1:{site.port}", {"X-API-Key": site.key}
    for symbol, of_class in {"ESH26": "future", "EUR-USD": "fx", "DEMO-USD": "crypto"}.items():
        url = f"{origin}/api/v1/instruments/{symbol}"
        assert httpx.put(url, headers=headers, json={"symbol": symbol, "class": of_class}).is_success
        trade = {"timestamp": "2025-01-02T14:30:00Z", "symbol": symbol, "price": 1.03, "volume": 1}
        url = f"{origin}/api/v1/trades/ingest"
        assert httpx.post(url, headers=headers, json={"trades": [trade]}).is_success
    ingests = [each for name, each in operations().items() if name.endswith("/ingest")]
    assert len(ingests) > 5
    for operation in ingests:
        assert run_curl(site, origin, operation) == ""
    return origin


def source(site: Installation, origin: str, operation: dict[str, Any], place: int) -> str:
    told: str = operation["x-codeSamples"][place]["source"]
    return told.replace(ORIGIN, origin).replace(KEY, site.key)


def run_curl(site: Installation, origin: str, operation: dict[str, Any]) -> str:
    """Run the command; returns the answer if it is an error, else nothing."""
    command = source(site, origin, operation, 0).replace("curl -s", "curl -s --fail-with-body")
    folder = site.served.data_dir
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        cwd=folder,
        check=False,
    )
    return "" if done.returncode == 0 else f"{operation['operationId']}: {done.stdout}"


def run_python(site: Installation, origin: str, operation: dict[str, Any]) -> str:
    """Run the program in this process; returns its exception, else nothing."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(source(site, origin, operation, 1), {})
    except Exception as error:  # noqa: BLE001 whatever a sample raises is told
        return f"{operation['operationId']}: {error}"
    return ""


# The soak has all of them.
@pytest.mark.parametrize(("run", "step"), [(run_curl, 1 if SOAK else 16), (run_python, 1 if SOAK else 5)])
def test_samples_of_market_data_work_as_pasted(site: Installation, origin: str, run, step: int):
    assert len(of_market_data()) > 100
    assert [told for each in of_market_data()[::step] if (told := run(site, origin, each))] == []


def test_samples_in_javascript_work_in_node(site: Installation, origin: str, tmp_path: Path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    sources = [source(site, origin, each, 2) for each in of_market_data()]
    program = tmp_path / "samples.mjs"
    program.write_text(
        "const Run = Object.getPrototypeOf(async function () {}).constructor;\n"
        "const log = console.log; console.log = () => {};\n"
        f"for (const source of {json.dumps(sources)}) await Run(source)().catch((error) => log(source, error));\n"
    )
    done = subprocess.run(
        [node, program], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
