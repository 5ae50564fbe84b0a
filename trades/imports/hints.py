"""What would help with a file that cannot be read: the options to add to the command, with the file's names."""

import csv
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

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


def listed(texts: Iterable[str]) -> str:
    """Return texts as options list them: with commas between, in quotation marks as in CSV if they have commas."""
    return ",".join(
        '"' + text.replace('"', '""') + '"' if "," in text or text.startswith('"') else text for text in texts
    )


def texts_of(value: str) -> list[str]:
    """Return the texts that an option lists: see `listed`. Of an empty value this is one empty text."""
    row = next(csv.reader([value], skipinitialspace=True), None) or [""]
    return [text.strip() for text in row]


def paired(pairs: Mapping[str, str]) -> str:
    """Return the value of `--columns`, by our columns."""
    return listed(f"{name}={source}" for name, source in pairs.items())


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


def missing_hint(names: Sequence[str], missing: Sequence[str], *, has_names: bool, is_text: bool) -> str:
    """Return the end of a refusal of a file that lacks columns. is_text: whether a mark separates the file's cells."""
    if not has_names:
        return "; no line names the columns: give --columns with the positions"
    likely = {
        name: next((each for each in names if bare(each).startswith(ALIASES.get(name, name))), None)
        for name in missing
    }
    pairs = paired({name: source for name, source in likely.items() if source})
    if len(names) == 1 and is_text:
        return "; give --delimiter with the mark between the cells, or --skip-lines with the number of lines before the names"
    return look("--columns", pairs) if pairs else f"; give --columns {missing[0]}=… with the file's name"
