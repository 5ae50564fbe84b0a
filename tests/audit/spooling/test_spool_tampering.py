"""What somebody writes into the spool who has not the key becomes no record, or one that says so of itself."""

import json
import os
from typing import Any

import pytest

from audit.chain.append import spool_key
from audit.models import AuditRecord, SpoolFile
from audit.records.call import LINE_BYTES, record_of_call
from audit.services import spool_collect
from audit.spooling.lines import FileSeal, decode_line, encode_line, lost_line
from audit.spooling.spool import Spool
from tests.audit.builders import AT, sealed, spooled

NAME = "1-1.sealed.jsonl"
LINES = sealed(NAME, *map(spooled, range(3))).splitlines(keepends=True)
OTHERS = sealed("2-1.sealed.jsonl", *map(spooled, range(4))).splitlines(keepends=True)
EVENT = spooled(9)[:-2] + b',"event":"key.revoked","detail":"{}"}\n'


@pytest.fixture
def folder(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def calls() -> list[int]:
    return list(AuditRecord.objects.filter(event="").order_by("pk").values_list("latency_us", flat=True))


def events() -> list[str]:
    return list(AuditRecord.objects.exclude(event="").order_by("pk").values_list("event", flat=True))


def collected(folder: Any, content: bytes, name: str = NAME) -> tuple[list[int], list[str]]:
    (folder / name).write_bytes(content)
    spool_collect(now=AT)
    return calls(), events()


@pytest.mark.parametrize(
    ("content", "left"),
    [
        pytest.param([LINES[0], LINES[1].replace(b"key:12", b"key:13"), LINES[2]], [0, 2], id="altered"),
        pytest.param([*LINES, spooled(9)], [0, 1, 2], id="added-without-a-seal"),
        pytest.param([*LINES, EVENT], [0, 1, 2], id="an-event-added"),
        pytest.param([*LINES, LINES[1]], [0, 1, 2], id="copied"),
        pytest.param([LINES[0], spooled(9), *LINES[1:]], [0], id="inserted"),
        pytest.param([LINES[0], LINES[2]], [0], id="removed"),
        pytest.param([LINES[1], LINES[0], LINES[2]], [2], id="reordered"),
        pytest.param([*LINES[:2], LINES[2][:-4] + b'"}\n'], [0, 1], id="seal-cut-short"),
        pytest.param([*LINES, OTHERS[3]], [0, 1, 2], id="of-another-file"),
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_what_the_service_has_not_written_there_is_left_out_and_told(folder, caplog, content, left):
    assert collected(folder, b"".join(content)) == (left, ["audit.lines_unreadable"])
    assert f"unreadable audit lines in {NAME}" in caplog.text
    assert SpoolFile.objects.get().unreadable >= 1


@pytest.mark.django_db
def test_lines_of_another_key_are_left_out_and_told(folder, settings):
    content = b"".join(LINES)
    settings.AUDIT_KEY = "another key than that of these lines"
    settings.SECRET_KEY = "and another secret"
    assert collected(folder, content) == ([], ["audit.lines_unreadable"])


@pytest.mark.parametrize("name", ["AUDIT_KEY", "SECRET_KEY"])
@pytest.mark.django_db
def test_lines_that_were_spooled_before_a_key_was_replaced_are_taken_in(folder, settings, name):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    setattr(settings, name, "a key that came after these lines")
    assert collected(folder, b"".join(LINES)) == ([0, 1, 2], [])


@pytest.mark.django_db
def test_a_file_of_another_name_is_left_alone(folder):
    assert collected(folder, b"".join(LINES), "1-1.jsonl") == ([], [])
    assert (folder / "1-1.jsonl").exists()


@pytest.mark.parametrize(
    "line",
    [
        EVENT,
        spooled(9)[:-2] + b',"detail":"{}"}\n',
        lost_line(1, AT).replace(b"lost", b"kept"),
        lost_line(1, AT).replace(b"1}", b"-1}"),
    ],
    ids=["an-event", "a-detail", "another-event", "another-detail"],
)
@pytest.mark.django_db
def test_sealed_event_of_an_unknown_kind_is_unreadable(folder, line):
    assert collected(folder, sealed(NAME, line)) == ([], ["audit.lines_unreadable"])


@pytest.mark.django_db
def test_what_is_written_into_a_file_in_use_does_no_harm_to_what_follows(folder):
    spool = Spool(folder, b"k" * 32)
    spool.append(spooled(0))
    (path,) = folder.iterdir()
    with path.open("ab") as stranger:
        stranger.write(EVENT)
    spool.append(spooled(1))
    spool.close()
    seal = FileSeal(b"k" * 32, path.name)
    lines, position, fitting = path.read_bytes().splitlines(keepends=True), 0, []
    for line in lines:
        fitting.append(seal.fits(line[:-1], position))
        position += len(line)
    assert fitting == [True, False, True]


@pytest.mark.django_db
def test_how_many_were_lost_is_told_although_nobody_but_the_service_may_say_so(folder):
    assert collected(folder, sealed(NAME, lost_line(4, AT))) == ([], ["audit.records_lost"])


@pytest.mark.parametrize("path", ["/é" * 5000, "/\x01" * 5000])
def test_a_line_with_its_seal_is_one_write(path):
    call = record_of_call(
        at=AT, caller="c" * 100, method="GET", path=path, query="\x01" * 5000, status=200, latency_us=1,
        address="127.0.0.1", correlation_id="c" * 128, declared=frozenset(),
    )  # fmt: skip
    line = FileSeal(b"k" * 32, NAME).sealed(encode_line(call), 4 * 2**20)
    assert len(line) <= LINE_BYTES
    assert decode_line(line).caller == "c" * 100


@pytest.mark.django_db
def test_a_file_that_was_cut_off_after_it_was_taken_in_is_told_once(folder):
    spool = Spool(folder, spool_key())
    for number in range(3):
        spool.append(spooled(number))
    spool_collect(now=AT)
    (path,) = folder.iterdir()
    size = path.stat().st_size
    os.truncate(path, 100)
    spool.append(spooled(3))
    for _ in range(2):
        spool_collect(now=AT)
    spool.close()
    spool_collect(now=AT)
    assert (calls(), events()) == ([0, 1, 2, 3], ["audit.lines_cut_off"])
    told = AuditRecord.objects.get(event="audit.lines_cut_off")
    assert (told.subject, json.loads(told.detail)) == (path.name, {"from": 100, "to": size})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("made", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
@pytest.mark.django_db
def test_what_is_no_file_keeps_no_other_back(folder, made):
    made(folder / "0-1.sealed.jsonl")
    assert collected(folder, b"".join(LINES)) == ([0, 1, 2], [])
