"""What would help with a file whose columns do not fit: the options, with the values that they seem to need."""

import re
from collections.abc import Sequence

import pyarrow as pa

from store.datasets import BARS, TRADES
from store.declarations import Dataset

_IS_DATA = re.compile(r"[-+$]?[0-9][0-9.,:;/ TZ+-]*")
_DATE_ONLY = re.compile(r"[0-9]{4}([-./]?)[0-9]{2}\1[0-9]{2}")
_OTHER_DATE = re.compile(r"[0-9]{1,4}[-./ ][0-9A-Za-z]{1,9}[-./ ][0-9]{2,4}|[A-Za-z]{3,9}\.? [0-9]")
_DATES, _CLOCKS = ("date", "day", "tradedate", "tradingdate"), ("time", "timeofday", "clock", "tradetime")
_IS_CLOCK = re.compile(
    "(trade|bar|local|exchange|event)?time(of)?(day)?(utc|gmt|est|et|cet|msk|local|hhmmss|hhmm|hms)?|clock|hour|hhmmss"
)
# Other names of columns, in small letters without other characters, the likeliest first.
_ALIASES = {
    "timestamp": (
        "timestamp", "datetime", "opentime", "windowstart", "tsevent", "time", "ts", "date", "utc", "unix",
        "timeutc", "begin", "start", "transacttime", "tradetime",
    ),
    "open": ("open", "o", "openprice", "first"),
    "high": ("high", "h", "highprice", "max"),
    "low": ("low", "l", "lowprice", "min"),
    "close": ("close", "c", "closeprice", "last", "closelast", "price"),
    "volume": ("volume", "vol", "v", "size", "quantity", "qty", "amount", "shares", "tickvol"),
    "price": ("price", "px", "tradeprice", "last", "lastprice", "rate", "p"),
    "bid": ("bid", "bidprice", "bidpx"),
    "ask": ("ask", "askprice", "askpx", "offer"),
}  # fmt: skip
_RESOLUTION = "resolution"
_VENDORS = {"siptimestamp": "polygon", "windowstart": "polygon", "tsevent": "databento"}
_PRICES = {"open", "high", "low", "close"}


def bare(name: str) -> str:
    """Return a column's name in small letters, without other characters."""
    return re.sub("[^a-z]", "", name.lower())


def cell_hint(values: pa.Array, cell: object) -> str:
    """Return the end of a refusal of a cell: the option that may help. values: the converted column."""
    text = str(cell).strip()
    if pa.types.is_floating(values.type) and re.fullmatch(r"[-+]?[0-9][0-9.]*,[0-9.,]*", text):
        return "; tell the decimal mark, and so that of thousands: --decimal , or --decimal ."
    if pa.types.is_integer(values.type) and _OTHER_DATE.match(text):
        return "; tell how times are written, such as --time-format '%m/%d/%Y %H:%M:%S'"
    return ""


def header_hint(names: Sequence[str], dataset: Dataset) -> str:
    """Return the end of a refusal of a file whose first line seems to be a row or a title; else an empty text."""
    if any(_IS_DATA.fullmatch(name) for name in names):
        wanted = [column.name for column in dataset.columns if column.required and column.name != _RESOLUTION]
        return f"; if no line names the columns, give all names in order: --header {','.join(wanted)}"
    if sum(bool(name) for name in names) == 1:
        return "; if other lines come first, give their number: --skip-lines 1"
    return ""


def missing_hint(names: Sequence[str], missing: Sequence[str], dataset: Dataset) -> str:
    """Return the end of a refusal of a file that lacks columns."""
    hint = header_hint(names, dataset)
    if hint:
        return hint
    known = {bare(name): name for name in reversed(names)}
    vendor = vendor_hint(names)
    if dataset is TRADES and known.keys() >= _PRICES:
        return "; for bars give --dataset bars --resolution 1d, 1m, …"
    found = {name: _source(name, known) for name in missing}
    pairs = ",".join(f"{name}={source}" for name, source in found.items() if source)
    options = [f"--columns {pairs}"] if pairs else []
    if vendor and missing != [_RESOLUTION]:
        return vendor
    if dataset is BARS and _RESOLUTION in missing:
        options.append("--resolution 1d, 1m, …")
    return f"; give {' and '.join(options)}" if options else "; name the file's columns by --columns"


def vendor_hint(names: Sequence[str]) -> str:
    """Return the end of a refusal of a file that has columns of a vendor; else an empty text."""
    vendor = next((_VENDORS[bare(name)] for name in names if bare(name) in _VENDORS), None)
    return f"; the columns seem to be of {vendor}: give --format {vendor}" if vendor else ""


def _source(name: str, known: dict[str, str]) -> str | None:
    date, clock = (next((known[each] for each in some if each in known), None) for some in (_DATES, _CLOCKS))
    if name == "timestamp" and date and clock:
        return f"{date}+{clock}"
    return next((known[each] for each in _ALIASES.get(name, (name,)) if each in known), None)


def is_date(cell: str) -> bool:
    """Return whether a cell is a date without a time of day."""
    return _DATE_ONLY.fullmatch(cell.strip()) is not None


def unread_clock(unread: Sequence[str]) -> str | None:
    """Return the column that has times of day by its name, if any."""
    return next((name for name in unread if _IS_CLOCK.fullmatch(bare(name))), None)
