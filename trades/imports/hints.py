"""What would help with a file that cannot be read: the options to add to the command, with the file's names."""

import re
import shlex
from collections.abc import Mapping, Sequence

import pyarrow as pa

_OTHER_TIME = re.compile(r"(?![0-9]{4}-)[0-9]+[-./ ].*[0-9]|[A-Za-z]{3,9}[ .-]+[0-9]")
WHICH_ZONE = "--timezone UTC or that of the exchange, such as --timezone America/New_York"
# Other names of columns, in small letters without other characters.
ALIASES = {
    "timestamp": (
        "timestamp", "datetime", "opentime", "time", "ts", "date", "utc", "unix", "timeutc", "begin", "start",
        "transacttime", "tradetime", "tradedate", "datum", "zeit", "zeitstempel", "gmttime", "datetimeutc", "epoch", "timems",
    ),
    "open": ("open", "o", "openprice", "first", "erffnung"),
    "high": ("high", "h", "highprice", "max", "hoch"),
    "low": ("low", "l", "lowprice", "min", "tief"),
    "close": ("close", "c", "closeprice", "last", "closelast", "price", "schluss"),
    "volume": (
        "volume", "vol", "v", "size", "quantity", "qty", "amount", "shares", "tickvol", "tickvolume", "stck", "menge",
        "volumen",
    ),
    "price": ("price", "px", "tradeprice", "last", "lastprice", "rate", "p", "kurs", "preis"),
    "bid": ("bid", "bidprice", "bidpx"),
    "ask": ("ask", "askprice", "askpx", "offer"),
    "bid_size": ("bidsize", "bidvolume", "bidqty"),
    "ask_size": ("asksize", "askvolume", "askqty"),
}  # fmt: skip


def bare(name: str) -> str:
    """Return a column's name in small letters, without other characters."""
    return re.sub("[^a-z]", "", name.lower())


def option(name: str, value: str) -> str:
    """Return an option with its value, as a shell takes it."""
    return f"{name} {shlex.quote(value)}"


def look(name: str, value: str) -> str:
    """Return the end of a message: the preview that shows what an option would do."""
    return f"; look at it with {option(name, value)} --preview"


def cell_hint(values: pa.Array, cell: object, *, decimal: str, time_format: str) -> str:
    """Return the end of a refusal of a cell: the option that may help, if it was not given. values: the converted column."""
    text = str(cell).strip()
    if not decimal and pa.types.is_floating(values.type) and re.fullmatch(r"[-+$]*[0-9][0-9.,]*", text):
        return "; look at it with --decimal . --preview or --decimal ',' --preview: the other mark separates thousands"
    if not time_format and pa.types.is_integer(values.type) and _OTHER_TIME.match(text):
        return f"; give --time-format as the times are written, such as '%d.%m.%Y %H:%M:%S', and {WHICH_ZONE}"
    return ""


def missing_hint(
    names: Sequence[str], missing: Sequence[str], found: Mapping[str, str], *, has_names: bool
) -> str:
    """Return the end of a refusal of a file that lacks columns. found: the file's columns of others of ours."""
    if not has_names:
        places = [name for name in names if name not in found.values()]
        chosen = {**found, **dict(zip(missing, places, strict=False))}
        pairs = ",".join(f"{name}={place}" for name, place in chosen.items())
        return f"; no line names the columns{look('--columns', pairs)}: the positions"
    likely = {
        name: next((each for each in names if bare(each).startswith(ALIASES.get(name, name))), None)
        for name in missing
    }
    pairs = ",".join(f"{name}={source}" for name, source in likely.items() if source)
    if len(names) == 1:
        return "; give --delimiter with the mark between the cells, or --skip-lines with the number of lines before the names"
    return look("--columns", pairs) if pairs else f"; give --columns {missing[0]}=… with the file's name"
