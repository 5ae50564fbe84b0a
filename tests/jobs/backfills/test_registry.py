"""The settings of sources: which there are, in which order, and what is wrong with them."""

import json
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from jobs.backfills.sources.folder import Folder
from jobs.backfills.sources.installation import Installation
from jobs.backfills.sources.registry import source_named, sources_in_order
from jobs.backfills.sources.system_checks import check_order, check_sources
from marketdata_project.settings import outbound
from marketdata_project.settings.environment import json_object
from ops.log_masking import masked, own_secrets

INSTALLATION = {
    "BACKEND": "jobs.backfills.sources.installation.Installation",
    "OPTIONS": {"url": "http://127.0.0.1:1"},
}
FOLDER = {
    "BACKEND": "jobs.backfills.sources.folder.Folder",
    "OPTIONS": {"path": "/archive", "pattern": "{date}.csv"},
}
SECRET = "md_abcdef_0123456789"


def test_none_is_configured_by_default():
    assert sources_in_order("XNYS") == []
    assert check_sources() == check_order() == []


def test_a_source_is_made_once_and_anew_when_the_setting_changes(settings):
    settings.BACKFILL_SOURCES = {"desk": INSTALLATION, "archive": FOLDER}
    desk = source_named("desk")
    assert isinstance(desk, Installation)
    assert isinstance(source_named("archive"), Folder)
    assert source_named("desk") is desk
    settings.BACKFILL_SOURCES = {"desk": INSTALLATION}
    assert source_named("desk") is not desk


def test_the_order_goes_by_the_exchange(settings):
    settings.BACKFILL_SOURCES = {"desk": INSTALLATION, "archive": FOLDER}
    assert [each.name for each in sources_in_order("XNYS")] == ["desk", "archive"]
    settings.BACKFILL_ORDER = {"default": ["archive"], "XNYS": ["archive", "desk"], "XLON": []}
    named = {
        exchange: [each.name for each in sources_in_order(exchange)]
        for exchange in (None, "XNYS", "XLON", "XNAS")
    }
    assert named == {None: ["archive"], "XNYS": ["archive", "desk"], "XLON": [], "XNAS": ["archive"]}
    assert check_order() == []


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"BACKEND": "jobs.backfills.sources.nothing.Source"},
        {"BACKEND": "jobs.backfills.sources.installation.Installation"},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "colour": "red"}},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "limits": {"speed": 1}}},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "limits": {"rate": 0}}},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "offer": {"symbol": ["A"]}}},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "offer": {"symbols": "AAPL"}}},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "offer": {"datasets": ["trade"]}}},
        {**INSTALLATION, "OPTIONS": {"url": "ftp://127.0.0.1:1"}},
        {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "key": SECRET + "\n"}},
        {**FOLDER, "OPTIONS": {"path": "/archive", "pattern": "../{date}"}},
        {**FOLDER, "OPTIONS": {"path": "/archive", "pattern": "{date}", "format": "xml"}},
    ],
)
def test_a_source_that_cannot_be_made_is_found_by_the_checks(settings, declared):
    settings.BACKFILL_SOURCES = {"desk": declared}
    with pytest.raises(ImproperlyConfigured):
        source_named("desk")
    (found,) = check_sources()
    assert found.id == "backfills.E001"
    assert SECRET not in f"{found.msg}{found.hint}"


@pytest.mark.parametrize("names", [["nobody"], "desk", [1], None])
def test_an_order_of_unknown_sources_is_found_by_the_checks(settings, names):
    settings.BACKFILL_SOURCES = {"desk": INSTALLATION}
    settings.BACKFILL_ORDER = {"XNYS": names}
    assert [each.id for each in check_order()] == ["backfills.E002"]


def test_the_environment_declares_sources_and_gives_their_keys(tmp_path: Path, monkeypatch):
    key = tmp_path / "key"
    key.write_text(f"{SECRET}\n")
    monkeypatch.setenv("BACKFILL_SOURCES", json.dumps({"desk": INSTALLATION, "archive": FOLDER}))
    monkeypatch.setenv("BACKFILL_KEY_DESK_FILE", str(key))
    assert outbound._sources() == {
        "desk": {**INSTALLATION, "OPTIONS": {"url": "http://127.0.0.1:1", "key": SECRET}},
        "archive": FOLDER,
    }


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("BACKFILL_SOURCES", f'{{"desk": {{"key": "{SECRET}"', outbound._sources),
        ("BACKFILL_SOURCES", '["desk"]', outbound._sources),
        ("BACKFILL_SOURCES", '{"desk": "x"}', outbound._sources),
        ("BACKFILL_SOURCES", '{"a b": {}}', outbound._sources),
        ("BACKFILL_ORDER", "desk", lambda: json_object("BACKFILL_ORDER")),
        ("OUTBOUND_SCHEMES", "file", outbound._schemes),
    ],
)
def test_a_variable_that_is_malformed_is_named_and_not_quoted(monkeypatch, name: str, text: str, read):
    monkeypatch.setenv(name, text)
    with pytest.raises(ImproperlyConfigured, match=name) as raised:
        read()
    assert SECRET not in str(raised.value)


def test_keys_of_sources_are_masked_in_the_log(settings):
    settings.BACKFILL_SOURCES = {"desk": {"OPTIONS": {"key": "plain-words-as-a-key"}}}
    own_secrets.cache_clear()
    assert "plain-words" not in masked("answered: plain-words-as-a-key")
    own_secrets.cache_clear()
