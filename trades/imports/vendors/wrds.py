"""Trades of NYSE's TAQ as WRDS exports them: daily TAQ (SYM_ROOT, TIME_M) and the older monthly TAQ (SYMBOL, TIME)."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import TRADES
from trades.conditions import CONDITION_MAPS
from trades.imports.symbols import SymbolSpelling
from trades.imports.vendors.layout import Derived, VendorLayout

_SOURCE = (
    "https://wrds-www.wharton.upenn.edu/pages/about/data-vendors/nyse-trade-and-quote-taq/,"
    " https://www.nyse.com/publicdocs/nyse/data/Daily_TAQ_Client_Spec_v3.3.pdf"
)
# The monthly TAQ writes root and suffix in one column: "BRK A" is BRK.A.
WRDS_SYMBOLS = SymbolSpelling("wrds", re.compile("([A-Z]+) +([A-Z]+)"), {})
# 00 is a trade, 01 one with its corrected values. 07 and 08 are trades that were later called an error or cancelled;
# 10, 11 and 12 are the records that cancel or correct others.
_STANDING = ("0", "1", "00", "01")


def _is_standing(correction: pa.Array) -> pa.Array:
    return pc.is_in(pc.utf8_trim_whitespace(correction.cast(pa.string())), pa.array(_STANDING))


def _clock(time: pa.Array) -> pa.Array:
    """Return times of day with two digits of hours."""
    return pc.replace_substring_regex(time.cast(pa.string()), "^ *([0-9]):", r"0\1:")


def _nanosecond_clock(time: pa.Array, nanoseconds: pa.Array) -> pa.Array:
    """Return times of day. nanoseconds: those beyond the microseconds, at which times of WRDS' database end."""
    padded = _clock(time)
    if nanoseconds.null_count == len(nanoseconds):
        return padded
    has_fraction = pc.match_substring(padded, ".")
    whole = pc.utf8_rpad(
        pc.if_else(has_fraction, padded, pc.binary_join_element_wise(padded, "", ".")),
        len("09:30:00.123456"),
        "0",
    )
    digits = pc.utf8_lpad(pc.replace_substring_regex(nanoseconds.cast(pa.string()), "[.]0*$", ""), 3, "0")
    return pc.coalesce(pc.binary_join_element_wise(whole, digits, ""), padded)


def _symbol(root: pa.Array, suffix: pa.Array) -> pa.Array:
    """Return BRK.B of BRK and B, and the root of an empty suffix."""
    root, suffix = (pc.utf8_trim_whitespace(each.cast(pa.string())) for each in (root, suffix))
    has_suffix = pc.greater(pc.utf8_length(suffix), 0).fill_null(False)
    return pc.if_else(has_suffix, pc.binary_join_element_wise(root, suffix, "."), root)


def _codes(conditions: pa.Array) -> pa.Array:
    """Return codes joined by semicolons. Each code is one character; blanks are places without a code."""
    letters = pc.replace_substring(conditions.cast(pa.string()), " ", "")
    joined = pc.replace_substring_regex(pc.replace_substring_regex(letters, "(.)", r"\1;"), ";$", "")
    return pc.if_else(pc.equal(joined, ""), None, joined)


def _words(conditions: pa.Array, source: pa.Array) -> pa.Array:
    """Return the words of codes. source: C, the tape of CTA, or N, that of UTP; without it the codes stay."""
    codes = _codes(conditions)
    for letter, name in (("C", "cta"), ("N", "utp")):
        translated = CONDITION_MAPS[name].translated(TRADES.name, codes)
        codes = pc.if_else(pc.equal(source.cast(pa.string()), letter).fill_null(False), translated, codes)
    return codes


def _venue(exchange: pa.Array, facility: pa.Array) -> pa.Array:
    """Return exchange, or exchange-facility: ids of FINRA's trades are unique per trade reporting facility."""
    named = pc.utf8_trim_whitespace(facility.cast(pa.string()))
    has_facility = pc.greater(pc.utf8_length(named), 0).fill_null(False)
    return pc.if_else(has_facility, pc.binary_join_element_wise(exchange, named, "-"), exchange)


def _daily(name: str, names: dict[str, str]) -> VendorLayout:
    """Return the layout of the daily TAQ with its columns in capital or small letters."""
    source, facility, nanoseconds = names["TR_SOURCE"], names["TR_RF"], names["TIME_M_NANO"]
    return VendorLayout(
        name,
        TRADES,
        _SOURCE,
        {
            "timestamp": f"{names['DATE']}+clock", "symbol": "root and suffix", "price": names["PRICE"],
            "volume": names["SIZE"],
        },
        {"sequence": names["TR_SEQNUM"], "trade_id": names["TR_ID"]},
        {
            "conditions": Derived("words by tape", (names["TR_SCOND"], source), _words, (source,)),
            "exchange": Derived("venue", (names["EX"], facility), _venue, (facility,)),
        },
        Derived("standing", (names["TR_CORR"],), _is_standing),
        {
            "clock": Derived("clock", (names["TIME_M"], nanoseconds), _nanosecond_clock, (nanoseconds,)),
            "root and suffix": Derived("symbol", (names["SYM_ROOT"], names["SYM_SUFFIX"]), _symbol),
        },
        zone="America/New_York",
    )  # fmt: skip


def _monthly(name: str, names: dict[str, str]) -> VendorLayout:
    return VendorLayout(
        name,
        TRADES,
        _SOURCE,
        {
            "timestamp": f"{names['DATE']}+clock", "symbol": names["SYMBOL"], "price": names["PRICE"],
            "volume": names["SIZE"], "exchange": names["EX"],
        },
        derived={"conditions": Derived("codes", (names["COND"],), _codes)},
        kept=Derived("standing", (names["CORR"],), _is_standing),
        prepared={"clock": Derived("clock", (names["TIME"],), _clock)},
        zone="America/New_York",
    )  # fmt: skip


_DAILY = (
    "DATE", "TIME_M", "TIME_M_NANO", "EX", "SYM_ROOT", "SYM_SUFFIX", "TR_SCOND", "SIZE", "PRICE", "TR_CORR", "TR_SEQNUM",
    "TR_ID", "TR_SOURCE", "TR_RF",
)  # fmt: skip
_MONTHLY = ("SYMBOL", "DATE", "TIME", "PRICE", "SIZE", "CORR", "COND", "EX")
_CASES = (("", str.upper), (", small letters", str.lower))

WRDS_LAYOUTS = (
    *(_daily(f"wrds daily TAQ trades{note}", {each: case(each) for each in _DAILY}) for note, case in _CASES),
    *(
        _monthly(f"wrds monthly TAQ trades{note}", {each: case(each) for each in _MONTHLY})
        for note, case in _CASES
    ),
)
