"""The pages that anybody may read."""

from tests.browser.chromium import WINDOWS
from tests.browser.conftest import Opened


@WINDOWS
def test_list_of_errors_is_a_page_without_faults(opened: Opened, name: str, options):
    with opened(**options) as watched:
        watched.goto("/docs/errors")
        watched.page.get_by_role("heading", name="Error codes").wait_for()
        watched.shoot(f"errors_{name}")
        assert watched.faults == []
        assert watched.axe() == []
