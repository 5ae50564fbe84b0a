"""The table of the benchmarks says plainly what was reached, what was missed, and what loses."""

import pytest

from benchmarks.report import Goal, Note, Ratio, table


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (Ratio("more is better", 10, 2, "answers/s", Goal(least=5)), "met"),
        (Ratio("more is better", 9, 2, "answers/s", Goal(least=5)), "**missed**"),
        (Ratio("less is better", 3, 1, "ms", Goal(most=3)), "met"),
        (Ratio("between", 3, 2, "ms", Goal(0.8, 1.2)), "**missed**"),
        (Ratio("of the figure", 251, None, "MB", Goal(most=250, unit="MB")), "**missed**"),
        (Ratio("of the figure, not of the ratio", 4, 1, "µs", Goal(most=5, unit="µs")), "met"),
        (Ratio("a slower rival", 3, 2, "rows/s", rival=True), "wins"),
        (Ratio("a quicker rival", 3, 2, "ms", rival=True), "**loses**"),
        (Ratio("a goal below a rival", 3, 9, "answers/s", Goal(least=0.3), rival=True), "met, **loses**"),
        (Ratio("without a goal", 3, 2, "ms"), ""),
    ],
    ids=lambda value: value.name if isinstance(value, Ratio) else "",
)
def test_a_row_says_whether_its_goal_is_met_and_who_wins(row: Ratio, outcome: str):
    assert row.outcome == outcome


def test_the_table_is_markdown_with_the_notes_below():
    rows = [
        Note("Left out: a peer."),
        Ratio("held", 8_120.4, 2_000, "answers/s", Goal(least=5)),
        Note("a b\n1 2"),
        Ratio("memory", 99.5, None, "MB"),
    ]
    assert table(rows).splitlines() == [
        "| case | here | beside it | ratio | goal | outcome |",
        "| --- | --: | --: | --: | --- | --- |",
        "| held | 8,120 answers/s | 2,000 answers/s | 4.06 | ≥ 5 | **missed** |",
        "| memory | 99.5 MB |  |  |  |  |",
        "",
        "Left out: a peer.",
        "",
        "```",
        "a b",
        "1 2",
        "```",
    ]
