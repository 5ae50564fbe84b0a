"""Which sources there are, by names, settings and keys."""

import json
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings import outbound
from ops.log_masking import masked, own_secrets
from sources.protocol import SourceRefused
from sources.registry import check_sources, declared_names, exchange_names, kind_of, source_names

SECRET = "md_abcdef_0123456789"


def test_the_names_are_the_declared_ones_then_vendors_then_exchanges(settings):
    settings.SOURCES = {"desk": {"kind": "installation", "url": "https://desk.example"}}
    assert source_names()[:4] == ["desk", "alpaca", "databento", "massive"]
    assert {"binance", "kraken", "coinbase", "okx", "bybit", "bitfinex", "deribit"} < set(exchange_names())
    assert len(exchange_names()) > 90
    assert declared_names() == ["desk"]


def test_a_name_is_of_its_own_kind_or_of_the_declared_one(settings):
    settings.SOURCES = {"desk": {"kind": "installation"}, "copy": {"kind": "binance"}, "kraken": {"url": "x"}}
    kinds = {name: kind_of(name) for name in ("desk", "copy", "kraken", "alpaca", "okx")}
    assert kinds == {
        "desk": "installation",
        "copy": "binance",
        "kraken": "kraken",
        "alpaca": "alpaca",
        "okx": "okx",
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("binanse", "there is no source binanse: did you mean binance"),
        ("folder", "there is no source folder"),
        ("zzzzzz", "there is no source zzzzzz: list them with: manage.py fetch --sources"),
    ],
)
def test_an_unknown_name_is_refused_with_near_names(name, sentence):
    with pytest.raises(SourceRefused, match=sentence):
        kind_of(name)


def test_a_source_of_an_unknown_kind_is_found_by_the_checks(settings):
    settings.SOURCES = {"desk": {"kind": "instalation"}}
    (found,) = check_sources()
    assert found.id == "sources.E001"


def test_the_environment_declares_sources_and_gives_their_keys(tmp_path: Path, monkeypatch):
    key = tmp_path / "key"
    key.write_text(f"{SECRET}\n")
    declared = {"desk": {"kind": "installation", "url": "https://desk.example"}}
    monkeypatch.setenv("SOURCES", json.dumps(declared))
    monkeypatch.setenv("SOURCE_KEY_DESK_FILE", str(key))
    monkeypatch.setenv("SOURCE_KEY_ALPACA", "id:secret")
    assert outbound._declared_sources() == declared
    assert outbound._source_keys() == {"desk": SECRET, "alpaca": "id:secret"}


@pytest.mark.parametrize(
    "text",
    [
        f'{{"desk": {{"key": "{SECRET}"',
        '["desk"]',
        '{"desk": "x"}',
        '{"a b": {}}',
        '{"Desk": {}}',
        f'{{"desk": {{"key": "{SECRET}"}}}}',
    ],
)
def test_a_malformed_declaration_is_named_and_not_quoted(monkeypatch, text):
    monkeypatch.setenv("SOURCES", text)
    with pytest.raises(ImproperlyConfigured, match="SOURCES") as raised:
        outbound._declared_sources()
    assert SECRET not in str(raised.value)


def test_keys_of_sources_are_masked_in_the_log(settings):
    settings.SOURCE_KEYS = {"alpaca": "plain-words:as-a-secret"}
    own_secrets.cache_clear()
    assert masked("said plain-words:as-a-secret and as-a-secret") == "said *** and ***"
    own_secrets.cache_clear()
