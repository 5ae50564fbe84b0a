"""Hostile messages on the live feed: each is answered or ends its connection with a documented code, and nothing else happens."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from marketdata_project.error_codes import ERROR_CODES
from tests.chance import SOAK
from tests.hostile.figures import Told
from tests.patience import is_kept
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, Installation
from tests.system.live_mutants import Hostile, hostile
from tests.system.live_raw import FINAL, PING, PONG, TEXT, Message, RawSocket, frame
from tests.system.streaming import Webs

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("live")]

MESSAGES = 2000 if SOAK else 200
MEMORY_MIB = 50.0
# Of docs/live.md. A client's own close code comes back.
CLOSE_CODES = {1000, 1002, 1007, 1009, 4400, 4401, 4413}
ANSWERS = {"subscribed", "unsubscribed", "authenticated", "pong", "error"}
CODES = {each.code for each in ERROR_CODES}
PROBE = frame(b'{"op":"ping","id":"is it alive?"}')


def outcome(sent: Hostile, port: int, key: str) -> str:
    """What became of a message: the code of its end, the answer's code or operation, or nothing."""
    with RawSocket.opened(port, key) as raw:
        raw.send(sent.data)
        if not sent.is_whole:
            raw.send_no_more()
            return f"ended with {raw.close_code()}"
        raw.send(PROBE)
        found = "no answer"
        while not (message := raw.next()).code:
            if message.opcode in {PING, PONG}:
                continue
            document = checked(message)
            if document.get("id") == "is it alive?":
                return found
            if "seq" not in document and document["op"] != "closing":
                found = document.get("code", document["op"])
        assert message.code in CLOSE_CODES, message
        return f"ended with {message.code}"


def checked(message: Message) -> dict[str, Any]:
    assert message.opcode == TEXT
    document = message.document
    if "ch" not in document and document["op"] != "closing":
        assert document["op"] in ANSWERS, document
    if document.get("op") == "error":
        assert document["code"] in CODES - {"internal_error"}, document
        assert document["message"], document
    assert b"Traceback" not in message.payload
    return document


def folders_and_strange_files(installation: Installation) -> set[Path]:
    """All folders but for those of derived files, and the files outside of the installation's own folder."""
    data = installation.served.data_dir
    paths = [path for path in data.parent.rglob("*") if ".derived" not in path.parts]
    return {path for path in paths if path.is_dir() or data not in path.parents}


def test_hostile_messages_are_answered_or_end_their_connection(
    installation: Installation, seed: int, told: Told
) -> None:
    key = installation.new_key(tier="internal", rate=UNLIMITED)
    with connected(installation.port, key) as client:
        assert client.ingest(Batch(1, "HOSTILE", 700, has_ids=True).body).status == 200
    log, webs = installation.served.output, installation.webs()
    files, said = folders_and_strange_files(installation), len(log.read_text())
    gauge = Webs(installation).gauge
    before, outcomes = gauge.anonymous_mib(), Counter[str]()
    wrong: list[str] = []
    for sent in hostile(random.Random(seed), MESSAGES):
        try:
            outcomes[outcome(sent, installation.port, key)] += 1
        except (AssertionError, TimeoutError) as error:
            wrong.append(f"{sent.name}: {error}")
    grown = gauge.anonymous_mib() - before
    answers = ", ".join(f"{n} {name}" for name, n in outcomes.most_common())
    told(f"8 {MESSAGES} hostile messages", f"memory + {grown:.0f} MiB; {answers}")
    assert wrong == [], f"SEED={seed}"
    new = log.read_text()[said:]
    assert "Traceback" not in new, new[-3000:]
    assert " ERROR " not in new, new[-3000:]
    assert installation.webs() == webs
    assert folders_and_strange_files(installation) <= files
    assert is_kept(MEMORY_MIB, grown)
    with RawSocket.opened(installation.port, key) as raw:
        raw.send(frame(b"", first=FINAL | PING) + PROBE)
        assert {raw.next().opcode, raw.next().opcode} == {PONG, TEXT}
