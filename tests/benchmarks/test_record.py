"""The page's tables say when each row was measured, and which are older than the last change of their code."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import record
from benchmarks.report import Goal, Note, Ratio

PAGE = "# Speed\n\n<!-- headlines -->\nold\n<!-- /headlines -->\n<!-- picture -->\n<!-- /picture -->\nkept\n<!-- missed -->\n<!-- /missed -->\n"
HELD = Ratio(
    "bars of `/stats/ohlc` (9 bytes): one, against pipelined FastAPI", 4_000, 1_000, "answers/s", rival=True
)
SLOW = Ratio("a backfill", 9, 3, "s", Goal(most=2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the page and two folders of code, `front` and `jobs`."""
    for name in ("BASE_DIR", "RECORD", "PAGE"):
        monkeypatch.setattr(
            record, name, tmp_path / {"RECORD": "measured.json", "PAGE": "page.md"}.get(name, "")
        )
    monkeypatch.setattr(record, "HEADLINES", record.HEADLINES[:1])
    (tmp_path / "page.md").write_text(PAGE)
    git(tmp_path, "init", "-q")
    for code in ("front", "jobs"):
        change(tmp_path, code)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def change(folder: Path, code: str) -> None:
    (folder / code).mkdir(exist_ok=True)
    with (folder / code / "code.py").open("a") as file:
        file.write("pass\n")
    git(folder, "add", code)
    git(folder, "commit", "-qm", f"change {code}")


def page(folder: Path) -> dict[str, str]:
    """Write the page; return its rows by their first cell."""
    record.write_page({"held": ["front"], "backfill": ["jobs"]})
    lines = (folder / "page.md").read_text().splitlines()
    cells = [line.split(" | ") if line.startswith("| ") else line.split(": ") for line in lines]
    return {
        first.removeprefix("| ").removeprefix("- "): line
        for (first, *_), line in zip(cells, lines, strict=True)
    }


def test_each_row_has_its_day_and_those_of_changed_code_are_marked(folder: Path):
    record.keep("held", [HELD, Note("a note")])
    record.keep("backfill", [SLOW])
    assert not any("code changed since" in line for line in page(folder).values())
    change(folder, "jobs")
    rows = page(folder)
    assert rows[SLOW.name].endswith(", code changed since")
    assert "a backfill: 3.00 (≤ 2), " in rows[SLOW.name]
    day = record.read()["held"].day
    assert rows[HELD.name].endswith(f"| 4.00 | wins | {day} |")
    record.keep("backfill", [SLOW])
    assert page(folder)[SLOW.name].endswith(f"(≤ 2), {day}")


def test_a_page_without_all_headlines_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(record, "HEADLINES", (("held", "*"), ("live", "*")))
    record.keep("held", [HELD])
    with pytest.raises(SystemExit, match="Measure these first: live"):
        page(folder)
    assert (folder / "page.md").read_text() == PAGE


def test_the_picture_has_a_sign_for_each_factor_of_two_and_other_lines_stay(folder: Path):
    record.keep("held", [HELD])
    page(folder)
    text = (folder / "page.md").read_text()
    assert "| ##       4 times" in text
    assert "kept" in text
    assert "old" not in text
