"""A class name has one meaning in the whole program."""

import ast
from collections import Counter

from django.conf import settings

from tests.program import PACKAGES

# Django finds these by their names, one in each module or model.
OF_DJANGO = {"Meta", "Command"}
# Names that two classes share still. Remove a name when you rename its classes; add none.
SHARED = {
    "BarReader",
    "Batch",
    "Block",
    "BodyTooLarge",
    "Change",
    "Check",
    "Column",
    "Columns",
    "Cursor",
    "Finding",
    "Grid",
    "Interval",
    "Kind",
    "Note",
    "OutcomeUnknown",
    "Page",
    "Partition",
    "Phase",
    "Plan",
    "Position",
    "Quotes",
    "Resync",
    "Run",
    "Segments",
    "Snapshot",
    "Source",
    "Spool",
    "Stage",
    "Table",
    "_Date",
    "_Known",
}


def test_no_two_classes_have_the_same_name():
    paths = [path for package in PACKAGES for path in (settings.BASE_DIR / package).rglob("*.py")]
    counts = Counter(
        node.name
        for path in paths
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in counts.items() if count > 1} - OF_DJANGO == SHARED
