"""What was measured, as a table of ratios, and what had to be left out."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ratio:
    """`here` divided by `peer`, both in `unit`; `wanted` says which ratio is aimed at."""

    name: str
    here: float
    peer: float
    unit: str
    wanted: str

    def cells(self) -> tuple[str, ...]:
        """The table's cells."""
        return (
            self.name,
            _number(self.here),
            _number(self.peer),
            self.unit,
            f"{self.here / self.peer:.2f}" if self.here < 20 * self.peer else f"{self.here / self.peer:.0f}",
            self.wanted,
        )


@dataclass(slots=True)
class Report:
    """Ratios in the order in which they were measured; `tables` are text as it is, `notes` and `left_out` sentences."""

    ratios: list[Ratio] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, name: str, *, here: float, peer: float, unit: str, wanted: str) -> None:
        """Take a ratio in, and show it at once."""
        ratio = Ratio(name, here, peer, unit, wanted)
        self.ratios.append(ratio)
        print("  ".join(ratio.cells()[:5]), flush=True)

    def __str__(self) -> str:
        lines = _aligned(
            [("what", "here", "peer", "unit", "ratio", "wanted"), *(r.cells() for r in self.ratios)]
        )
        lines += [f"\n{table}\n" for table in self.tables]
        lines += [f"Note: {note}" for note in self.notes]
        lines += [f"Left out: {name}" for name in self.left_out]
        return "\n".join(lines)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = {1, 2, 4}
    return [
        "  ".join(
            cell.rjust(width) if place in numeric else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
