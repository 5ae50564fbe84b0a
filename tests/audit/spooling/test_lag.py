"""How far the database is behind the spool files."""

from datetime import timedelta

import pytest

from audit.services import spool_collect
from audit.spooling.collector import SpoolLag, spool_lag
from audit.spooling.spool import Spool
from tests.audit.builders import AT, spooled

NOW = AT + timedelta(seconds=90)
NOTHING = SpoolLag(0, 0.0)


@pytest.fixture
def spool(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def left(spool: Spool) -> SpoolLag:
    return spool_lag(spool.folder, now=NOW)


@pytest.mark.django_db
def test_what_is_spooled_and_not_collected_is_the_lag(spool):
    assert left(spool) == NOTHING
    spool.append(spooled(1))
    size = sum(path.stat().st_size for path in spool.folder.iterdir())
    assert left(spool) == SpoolLag(size, 90.0)
    spool_collect(now=AT)
    assert left(spool) == NOTHING
    spool.append(spooled(2))
    assert left(spool) == SpoolLag(size, 90.0)


@pytest.mark.django_db
def test_a_record_that_is_being_written_has_no_age_yet(spool):
    spool.append(spooled(1))
    spool_collect(now=AT)
    with next(spool.folder.iterdir()).open("ab") as file:
        file.write(b'{"at":"20')
    assert left(spool) == SpoolLag(9, 0.0)


@pytest.mark.django_db
def test_what_is_no_file_is_passed_over(spool):
    spool.folder.mkdir()
    (spool.folder / "1-1.jsonl").mkdir()
    (spool.folder / "2-1.jsonl").symlink_to("/dev/zero")
    assert left(spool) == NOTHING
