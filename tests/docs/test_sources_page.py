"""The pages of sources and of calls of other hosts: their samples work, and their table is of the limits that there are."""

import json
import re
from dataclasses import asdict

from django.conf import settings as project

from ops.outbound.destination import Limits
from sources.registry import declared_names, source_named
from tests.ops.outbound.hostile_server import says, served
from tests.ops.outbound.test_addresses import LOOPBACK

OUTBOUND = (project.BASE_DIR / "docs" / "outbound.md").read_text()
SOURCES = (project.BASE_DIR / "docs" / "sources.md").read_text()
UNITS = {"s": 1.0, "GiB": 2.0**30}


def sample(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_program_of_the_page_reads_an_answer(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK
    with served(says(b"rows")) as server:
        program = sample(OUTBOUND, "python").replace("https://desk.example", server.url)
        names = {"key": "md_abcdef_secret"}
        exec(program, names)
        assert server.calls[0][1]["X-API-Key"] == names["key"]


def test_the_table_has_each_limit_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| (\S+?)(?: (\w+))? \|", OUTBOUND, re.MULTILINE)
    table = {name: None if text == "none" else float(text) * UNITS.get(unit, 1) for name, text, unit in rows}
    # `open_seconds` has its unit in its name.
    assert table == asdict(Limits())


def test_the_sources_of_the_page_can_be_made(settings):
    settings.SOURCES = json.loads(sample(SOURCES, "json"))
    assert [source_named(name).name for name in declared_names()] == ["archive", "desk"]
