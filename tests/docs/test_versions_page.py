"""docs/versions.md has the rows of the table of versions."""

from django.conf import settings

from marketdata_project.versions import DEPRECATIONS, FEWEST_MONTHS, VERSIONS

TEXT = (settings.BASE_DIR / "docs" / "versions.md").read_text()


def table() -> list[str]:
    versions = [
        f"| `{each.name}` | {', '.join(f'`{prefix}`' for prefix in each.prefixes)} | {each.since} | "
        f"{each.deprecation.sunset if each.deprecation else ''} | {each.about} |"
        for each in VERSIONS
    ]
    return [*versions, *(f"| `{each.path}` | `{each.successor}` |" for each in DEPRECATIONS)]


def test_the_tables_are_the_data():
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert rows == table(), "docs/versions.md needs these rows:\n" + "\n".join(table())


def test_the_page_has_the_dates_of_all_deprecated_paths():
    ((since, sunset),) = {(each.since, each.sunset) for each in DEPRECATIONS}
    assert f"All since {since}, until {sunset} at the earliest." in TEXT


def test_the_page_promises_the_least_time():
    assert f"at least {FEWEST_MONTHS} months" in TEXT
