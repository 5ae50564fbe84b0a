"""A class name has one meaning in the whole program, private names included."""

import ast
from collections import Counter

from tests.program import OF_PROGRAM, program_nodes

# Django finds these by their names, one in each module or model.
OF_DJANGO = {"Meta", "Command"}


@OF_PROGRAM
def test_no_two_classes_have_the_same_name():
    counts = Counter(
        node.name.lstrip("_")
        for path, nodes in program_nodes().items()
        if "migrations" not in path.parts
        for node in nodes
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in counts.items() if count > 1} == OF_DJANGO
