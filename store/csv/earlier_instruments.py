"""`instruments.jsonl`: the declarations of earlier versions, one a line. They are taken over into a log."""

from pathlib import Path
from typing import Annotated

import msgspec

from store.exceptions import DataDamaged
from store.instrument_log import Declaration
from store.instruments import Instrument, default_instrument
from store.protocol import ALL_TIME

EARLIER_INSTRUMENTS_FILE = "instruments.jsonl"


class _DeclarationLine(Instrument, frozen=True):
    """A declaration. changed_at: when it takes effect, in nanoseconds UTC.

    more: how many more lines of the same request follow.
    """

    changed_at: Annotated[int, msgspec.Meta(ge=ALL_TIME.start_ns, lt=ALL_TIME.end_ns)] = 0
    more: int = 0

    def __post_init__(self) -> None:
        """Do not fill in defaults. The earliest lines have only a policy; `instrument` adds the rest."""

    @property
    def instrument(self) -> Instrument:
        """The instrument."""
        values = {name: getattr(self, name) for name in Instrument.__struct_fields__}
        if self.volume_kind:
            return Instrument(**values)
        defaults = zip(Instrument.__struct_fields__[1:], Instrument.__struct_defaults__, strict=True)
        beyond = {name: values[name] for name, default in defaults if values[name] != default}
        return msgspec.structs.replace(default_instrument(self.symbol), **beyond, volume_kind="")


_decoder = msgspec.json.Decoder(_DeclarationLine)


def earlier_declarations(file: str) -> list[Declaration]:
    """Return the declarations in `instruments.jsonl`, in order; none without the file.

    A line without a line end, or of a request whose lines are not all there, was never acknowledged. It is ignored.
    Raises `OSError`, and `DataDamaged` with the number of a line that is not a declaration.
    """
    try:
        data = Path(file).read_bytes()
    except FileNotFoundError:
        return []
    lines = [_line(number, text) for number, text in enumerate(data.split(b"\n")[:-1], start=1)]
    while lines and lines[-1].more > 0:
        lines.pop()
    return [(line.changed_at, line.instrument) for line in lines]


def _line(number: int, text: bytes) -> _DeclarationLine:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataDamaged(
            f"{EARLIER_INSTRUMENTS_FILE}, line {number}: not an instrument; mend the line or restore the file"
        ) from error
