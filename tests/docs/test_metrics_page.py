"""The page of metrics lists every metric as it is declared."""

from django.conf import settings

from tests.ops.metrics.declared import declared

PAGE = settings.BASE_DIR / "docs" / "metrics.md"


def test_the_page_lists_every_metric():
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| `marketdata_")]
    rows = [
        (f"{family.name}_total" if family.type == "counter" else family.name, labels, family.documentation)
        for family, labels in declared()
    ]
    assert table == [
        f"| `{name}` | {', '.join(f'`{each}`' for each in labels)} | {text} |" for name, labels, text in rows
    ]
    assert all(name.startswith("marketdata_") and text.endswith(".") for name, _, text in rows)
