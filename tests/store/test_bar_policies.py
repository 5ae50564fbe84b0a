"""Bar policies: what each condition word does, alone and beside others."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest
from django.conf import settings

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy, ConditionEffect, Effect, PrintRole
from store.bars.prints import has_condition, masks_of

EVERYWHERE = (True, True, True)
VOLUME_ONLY = (False, False, True)
PRICE_ONLY = (True, True, False)
NOWHERE = (False, False, False)


def role(words: str, policy: BarPolicy = US_EQUITIES) -> tuple[bool, bool, bool]:
    found: PrintRole = policy.role(words.split(";"))
    return found.sets_open_close, found.sets_high_low, found.counts_volume


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", EVERYWHERE),
        ("regular", EVERYWHERE),
        ("closing_print", PRICE_ONLY),
        ("extended_hours", EVERYWHERE),
        ("official_close", NOWHERE),
        ("odd_lot", VOLUME_ONLY),
        ("suspicious", NOWHERE),
        ("never_heard_of", EVERYWHERE),
        ("Regular", EVERYWHERE),
        ("intermarket_sweep;trade_through_exempt", VOLUME_ONLY),
        ("intermarket_sweep;never_heard_of", VOLUME_ONLY),
        ("closing_print;intermarket_sweep", NOWHERE),
        ("extended_hours;average_price", EVERYWHERE),
        ("extended_hours;official_close", PRICE_ONLY),
        ("extended_hours;cross;intermarket_sweep", PRICE_ONLY),
        ("extended_hours;suspicious", NOWHERE),
        ("suspicious;regular", NOWHERE),
    ],
)
def test_us_equities_policy_by_condition(words: str, expected: tuple[bool, bool, bool]):
    assert role(words) == expected


def test_every_print_counts_whatever_its_words_are():
    assert {role(word, EVERY_PRINT) for word in ["", "suspicious", "average_price"]} == {EVERYWHERE}


def test_the_fingerprint_follows_the_data_and_not_the_order_of_declaration():
    again = replace(US_EQUITIES, effects=dict(sorted(US_EQUITIES.effects.items(), reverse=True)))
    other_effect = replace(
        US_EQUITIES, effects={**US_EQUITIES.effects, "odd_lot": ConditionEffect(Effect.NO)}
    )
    other_day = replace(US_EQUITIES, daily=None)
    assert again.fingerprint == US_EQUITIES.fingerprint
    policies = [US_EQUITIES, EVERY_PRINT, other_effect, other_day]
    assert len({policy.fingerprint for policy in policies}) == 4
    assert len(US_EQUITIES.fingerprint) == 12


def test_has_condition():
    said = ["regular", None, "average_price", "closing_print;never_heard_of", "", "average_price"]
    rows = pa.table({"conditions": pa.chunked_array([said[:2], said[2:]], pa.string())})
    open_close, high_low, volume = masks_of(rows, US_EQUITIES)
    assert open_close.tolist() == high_low.tolist() == [True, True, False, True, True, False]
    assert volume.tolist() == [True, True, True, False, True, True]
    assert has_condition(rows, "closing_print", "regular").tolist() == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert has_condition(rows, "closing").tolist() == [False] * 6


@pytest.mark.parametrize(
    "rows", [pa.table({"price": [1.0, 2.0]}), pa.table({"conditions": pa.nulls(2, pa.string())})]
)
def test_rows_without_conditions_count_everywhere(rows: pa.Table):
    assert [mask.tolist() for mask in masks_of(rows, US_EQUITIES)] == [[True, True]] * 3
    assert has_condition(rows, "suspicious").tolist() == [False, False]


def test_page_shows_the_policies_table():
    page = (settings.BASE_DIR / "docs" / "bar_policies.md").read_text()
    rows = re.findall(r"^\| (`.*`) \| (\w+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    told = {word: tuple(effects) for words, *effects in rows for word in re.findall(r"\w+", words)}
    assert told == {
        word: tuple(each.name.lower() for each in (effect.open_close, effect.high_low, effect.volume))
        for word, effect in US_EQUITIES.effects.items()
    }
