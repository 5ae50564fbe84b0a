"""A good caller beside each known abuse: none of its calls fails, none takes long, and memory stays where it was."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.hostile.scale import SOAK
from tests.marketdata_project.front_server import eventually
from tests.patience import PROGRAM_SECONDS, allowed
from tests.system.abuses import ABUSES
from tests.system.batches import Batch
from tests.system.clients import Client, connected
from tests.system.installation import Installation

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("installation")]

SECONDS = 20.0 if SOAK else 4.0
WORST_SECONDS = 0.5
MOST_MIB = 300.0
# A tenth of what the tier `premium` admits.
PAUSE_SECONDS = 0.1
SYMBOL = "NEIGHBOUR"


@pytest.fixture
def good(installation: Installation) -> Iterator[Client]:
    with connected(installation.port, installation.new_key(tier="premium")) as client:
        assert client.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status == 200
        yield client


@pytest.mark.parametrize("abuse", ABUSES)
def test_a_good_caller_beside_an_abuse(abuse: str, installation: Installation, good: Client, told: Told):
    pids = list(installation.served.members())
    gauge, key = Gauge(installation.webs()), installation.new_key(tier="default")
    assert eventually(gauge.have_loaded_libraries)
    gauge = Gauge(pids)
    before = gauge.resident_mib()
    taken: list[float] = []
    peak = before
    with abusing(abuse, installation.port, key) as process:
        while process.poll() is None:
            number = 2 + len(taken)
            body = Batch(number, SYMBOL, 1, has_ids=True).body
            taken.append(seconds_of(lambda body=body: good.ingest(body)))
            taken.append(seconds_of(lambda: good.bars(SYMBOL, "1h")))
            peak = max(peak, gauge.resident_mib())
            time.sleep(PAUSE_SECONDS)
    told(f"18 {abuse}", f"worst of {len(taken)} {max(taken) * 1000:.0f} ms, peak {peak - before:+.0f} MiB")
    assert len(taken) > SECONDS
    assert max(taken) < allowed(WORST_SECONDS)
    assert peak - before < MOST_MIB
    assert list(installation.served.members()) == pids


def seconds_of(call) -> float:
    """How long a call took, which has to be answered well."""
    began = time.perf_counter()
    reply = call()
    assert reply.status == 200, reply.body
    return time.perf_counter() - began


@contextlib.contextmanager
def abusing(name: str, port: int, key: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.system.abuses", name, str(port), str(SECONDS), key]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PROGRAM_SECONDS)
