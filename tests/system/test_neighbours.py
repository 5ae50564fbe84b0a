"""A good caller beside each known abuse: none of its calls fails, none takes long, and memory stays where it was."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.patience import PROGRAM_SECONDS, is_kept
from tests.system import good_caller
from tests.system.abuses import ABUSES, LONG, WALKED
from tests.system.batches import Batch
from tests.system.clients import connected, trades_body
from tests.system.installation import Installation

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("installation")]

SECONDS = 10.0
ALL_SECONDS = 60.0
COMMITS = 6_000
# What abuses are answered: none of them fails for another reason.
EXPECTED = {"101", "200", "400", "401", "408", "413", "422", "429", "503", "none"}
# The 99th percentile beside an abuse: five times that without one, or this.
FACTOR, SLOW_MILLISECONDS = 5.0, 100.0
MOST_MIB, MOST_MIB_IN_ALL = 300.0, 1_500.0


@dataclass(frozen=True)
class Measured:
    """What a good caller met: milliseconds of its calls, by kind; refusals; MiB of the installation before and at most."""

    milliseconds: dict[str, list[float]]
    refused: list[str]
    before_mib: float
    peak_mib: float

    def percentile(self, kind: str, percent: float) -> float:
        return float(np.percentile(self.milliseconds[kind], percent))

    def __str__(self) -> str:
        times = "  ".join(
            f"{kind} " + " / ".join(f"{self.percentile(kind, percent):.1f}" for percent in (50, 99, 100))
            for kind in self.milliseconds
        )
        return f"{times} ms, {len(self.refused)} refused, {self.before_mib:.0f} to {self.peak_mib:.0f} MiB"


@pytest.fixture(scope="module")
def stocked(shared: Installation) -> Installation:
    """The installation with what the good caller and the abuses read."""
    with connected(shared.port, shared.new_key(tier="internal")) as client:
        bodies = [*good_caller.minutes(), *(long_body(start) for start in range(0, 49_500, 9_900))]
        bodies += [Batch(number, WALKED, 1, has_ids=True).body for number in range(COMMITS)]
        for body in bodies:
            assert client.ingest(body).status == 200
    assert eventually(Gauge(shared.webs()).have_loaded_libraries)
    return shared


def long_body(start: int) -> bytes:
    times = (good_caller.FIRST + timedelta(minutes=minute) for minute in range(start, start + 9_900))
    return trades_body(LONG, [{"timestamp": good_caller.text(at), "price": 100, "volume": 1} for at in times])


@pytest.fixture(scope="module")
def quiet(stocked: Installation) -> Measured:
    return measured(stocked, [], SECONDS)


@pytest.mark.parametrize("abuse", ABUSES)
def test_a_good_caller_beside_an_abuse(abuse: str, stocked: Installation, quiet: Measured, told: Told):
    told("18 quiet", str(quiet))
    found = measured(stocked, [abuse], SECONDS)
    told(f"18 {abuse}", str(found))
    check(found, quiet)
    assert is_kept(MOST_MIB, found.peak_mib - found.before_mib)


def test_a_good_caller_beside_all_abuses_at_once(stocked: Installation, quiet: Measured, told: Told):
    found = measured(stocked, list(ABUSES), ALL_SECONDS)
    told("18 all at once", str(found))
    assert found.refused == []
    assert is_kept(MOST_MIB_IN_ALL, found.peak_mib)


def check(found: Measured, quiet: Measured) -> None:
    assert found.refused == []
    for kind in found.milliseconds:
        most = max(FACTOR * quiet.percentile(kind, 99), SLOW_MILLISECONDS)
        assert is_kept(most, found.percentile(kind, 99)), kind


def measured(installation: Installation, abuses: list[str], seconds: float) -> Measured:
    """Let the good caller work beside abuses. Afterwards all processes are still the same."""
    members = lasting(installation)
    before = peak = Gauge(list(installation.served.members())).proportional_mib()
    good = installation.new_key(tier="internal")
    documents: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        abusers = [
            stack.enter_context(
                started("abuses", abuse, str(installation.port), str(seconds), installation.new_key())
            )
            for abuse in abuses
        ]
        for abuser in abusers:
            assert abuser.stdout is not None
            assert abuser.stdout.readline() == b"begins\n"
        caller = stack.enter_context(started("good_caller", str(installation.port), str(seconds), good))
        reading = Thread(target=lambda: documents.append(json.loads(caller.communicate()[0])))
        reading.start()
        while reading.is_alive():
            peak = max(peak, Gauge(list(installation.served.members())).proportional_mib())
            reading.join(0.1)
        for abuser in abusers:
            assert abuser.stdout is not None
            statuses = json.loads(abuser.stdout.readline())
            assert statuses or len(abuses) > 1
            assert statuses.keys() <= EXPECTED, statuses
    (document,) = documents
    assert all(document["milliseconds"].values())
    assert lasting(installation) == members
    return Measured(document["milliseconds"], document["refused"], before, peak)


def lasting(installation: Installation) -> list[int]:
    """The processes that do not end by themselves, as decoders of one body do."""
    return [pid for pid, command in installation.served.members().items() if "decoder" not in command]


@contextlib.contextmanager
def started(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"tests.system.{module}", *arguments]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PROGRAM_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
