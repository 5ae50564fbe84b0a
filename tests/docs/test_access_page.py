"""The page of access says what is so: its tables are the code's, its call answers as printed."""

import re
from collections.abc import Iterator

from django.conf import settings

from marketdata_project.access_table import ACCESS, PUBLIC_VIEWS
from ratelimit.access.scopes import ROLES, SCOPES, SENSITIVITIES
from stats.market_data.query import MARKET_CLASSES
from tests.api_client import Api, make_key
from tests.ratelimit.access.urlconf import Route, endpoints, routes

TEXT = (settings.BASE_DIR / "docs" / "access.md").read_text()
CLASS = re.compile(rf"(?<=/market-data/)({'|'.join(MARKET_CLASSES)})(?=/)")


def table_after(heading: str) -> list[str]:
    """The rows of the first table below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def canonical() -> Iterator[Route]:
    """Each endpoint once: below /api/v1, without a format's suffix."""
    for route in endpoints():
        if route.path.startswith("/api/v1/") and not route.path.endswith(".csv"):
            yield route


def template(route: Route) -> str:
    """The path of an endpoint; the classes of the tree are one."""
    path = re.sub(r"\(\?P<(\w+)>", r"<\1>(", route.pattern.removeprefix("api/v1/").strip("^"))
    return CLASS.sub("{class}", "/api/v1/" + plain(path).removesuffix("/?\\Z"))


def plain(path: str) -> str:
    """A pattern with each group as the name of its parameter in braces."""
    while "<" in path:
        start = path.index("<")
        opening = path.index("(", start)
        depth, end = 1, opening + 1
        while depth:
            depth += {"(": 1, ")": -1}.get(path[end], 0)
            end += 1
        path = path[:start] + "{" + path[start + 1 : opening - 1] + "}" + path[end:]
    return path


def rows() -> list[str]:
    found: dict[str, None] = {}
    for route in canonical():
        for method in sorted(route.implemented - {"HEAD"}):
            access = ACCESS[route.name or "", method]
            cells = (
                f"`{method} {template(route)}`",
                f"`{access.scope_text}`" if access.scope in SCOPES else access.scope,
                access.sensitivity,
                f"{access.bucket}, {access.rate}/s" if access.bucket else f"{access.group}, {access.kind}",
                access.cost,
                access.audit_class,
                "32 MiB"
                if access.body_bytes == settings.MAX_BODY_BYTES
                else f"{access.body_bytes // 1024} KiB",
            )
            found[f"| {' | '.join(cells)} |".replace("|  |", "| |")] = None
    return list(found)


def test_the_table_of_endpoints_is_the_codes():
    assert sorted(table_after("Endpoints")) == sorted(rows())


def test_the_classes_of_the_tree_are_asked_for_the_same():
    paths = [row.split("|")[1] for row in rows()]
    assert len(paths) == len(set(paths))


def test_the_table_of_roles_is_the_codes():
    assert table_after("Roles") == [
        f"| `{role.name}` | {' '.join(f'`{scope}`' for scope in role.scopes)} | {role.sensitivity} | {role.purpose} |"
        for role in ROLES.values()
    ]


def test_the_scopes_and_the_sensitivities_are_listed():
    assert re.findall(r"^\| `(\w+:\w+)`", "\n".join(table_after("Scopes")), re.MULTILINE) == list(SCOPES)
    assert [row.split("|")[1].strip() for row in table_after("Sensitivity")] == list(SENSITIVITIES)


def test_what_is_public_is_listed():
    listed = re.findall(r"`(/[^`]*)`", TEXT.partition("## Without a credential\n")[2].partition("\n## ")[0])
    paths = {route.path.removeprefix("/api/v1") for route in routes() if route.name in PUBLIC_VIEWS}
    assert set(listed) >= {path.removesuffix("/") or "/" for path in paths}


def test_a_missing_scope_answers_as_printed(api):
    call, expected = re.findall(
        r"^```\n(curl .*?)\n```\n\nanswers\n\n```\n(.*?)\n```", TEXT, re.DOTALL | re.MULTILINE
    )[0]
    path = re.search(r"8000(/\S*)", call)
    assert path is not None
    response = Api(make_key(scopes=("market:read",))).call("POST", path[1], b'{"symbol":"AAPL"}')
    assert re.fullmatch(re.escape(expected).replace("…", ".*"), response.content.decode())
