"""The names, the order and the nesting of resolutions."""

import itertools

import pytest

from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS

NAMES = [
    "tick",
    "1s",
    "45s",
    "1m",
    "90s",
    "7m",
    "1h",
    "90m",
    "2h",
    "23h",
    "1d",
    "3d",
    "7d",
    "1w",
    "2w",
    "31d",
    "1M",
    "3M",
    "52w",
    "12M",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_canonical(name: str):
    assert Resolution.parse(name).value == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("60s", "1m"), ("86399s", "86399s"), ("1min", "1m"), ("7min", "7m"), ("60m", "1h"), ("120m", "2h")),
        *(("1mo", "1M"), ("3mo", "3M"), ("1m", "1m"), ("1M", "1M")),
    ],
)
def test_each_spelling_has_one_resolution(text: str, name: str):
    assert Resolution.parse(text) == Resolution.parse(name)
    assert Resolution.parse(text).value == name


@pytest.mark.parametrize("text", ["", "m", "0m", "07m", "1.5h", "-1m", "24h", "86400s", "32d", "53w", "13M", "1y", "1D", "1 m", "٣m", "1m\n"])  # fmt: skip
def test_others_are_refused_by_the_rule(text: str):
    with pytest.raises(ValueError, match="45s, 7m or 2h"):
        Resolution.parse(text)


def test_they_are_ordered_by_length_and_distinct():
    resolutions = list(map(Resolution.parse, NAMES))
    assert sorted(resolutions) == resolutions
    assert len({each.rank for each in resolutions}) == len(NAMES)


def test_every_length_has_a_resolution():
    for length_ns in (1, 250, SECOND_NS, 7 * SECOND_NS, 36 * 3_600 * SECOND_NS, DAY_NS, 400 * DAY_NS):
        found = Resolution.of_length(length_ns)
        assert (found.length_ns, found.is_period) == (length_ns, length_ns % DAY_NS == 0)


def test_what_is_made_of_what():
    made_of = {
        (longer, shorter)
        for longer, shorter in itertools.product(NAMES[1:], repeat=2)
        if Resolution.parse(longer).is_made_of(Resolution.parse(shorter)) and longer != shorter
    }
    of_days = {(longer, shorter) for longer, shorter in made_of if Resolution.parse(shorter).is_period}
    longer_names = ["3d", "7d", "1w", "2w", "31d", "1M", "3M", "52w", "12M"]
    assert of_days == {(longer, "1d") for longer in longer_names} | {
        *(("2w", "1w"), ("52w", "1w"), ("52w", "2w"), ("3M", "1M"), ("12M", "1M"), ("12M", "3M")),
    }
    assert {shorter for longer, shorter in made_of if longer == "23h"} == {"1s", "45s", "1m", "90s", "1h"}
