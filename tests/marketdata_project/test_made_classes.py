"""Views, serializers and renderers are declared by a class statement, not made by `type()`."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = [
    "audit",
    "calendars",
    "dashboard",
    "front",
    "jobs",
    "marketdata_project",
    "ops",
    "ratelimit",
    "stats",
    "store",
    "trades",
    "trading",
    "web",
    "webhooks",
]


def test_no_module_makes_classes_by_type():
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in modules if _makes_classes(path)} == set()


def _makes_classes(path: Path) -> bool:
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(isinstance(c.func, ast.Name) and c.func.id == "type" and len(c.args) == 3 for c in calls)
