"""The printed link logs a browser in, once; so does a key."""

from playwright.sync_api import expect

from tests.browser.conftest import Opened
from tests.system.installation import Installation


def test_the_printed_link_logs_in_once(opened: Opened, site: Installation):
    link = site.served.says(r"Open +(http://127\.0\.0\.1:\d+/login/link\?token=\S+)")[1]
    with opened() as watched:
        watched.goto(link)
        assert watched.page.url == f"{watched.base}/"
        watched.goto("/admin/")
        watched.page.get_by_role("heading", name="Records, keys, jobs, instruments").wait_for()
        renewed = watched.page.request.post("/api/v1/auth/refresh", headers={"X-Refresh": "cookie"})
        assert renewed.ok
        watched.goto(link)
        assert watched.page.url == f"{watched.base}/"
        watched.goto("/api/v1/docs")
        expect(watched.page.get_by_role("banner")).to_contain_text("local")
        assert watched.faults == []
    with opened() as watched:
        assert watched.page.goto(link).status == 403
        watched.page.get_by_role("heading", name="This link is not valid").wait_for()
        watched.shoot("link_not_valid")
        assert watched.axe() == []


def test_a_setting_turns_the_samples_feed_off(site: Installation):
    assert not [command for command in site.served.members().values() if "sample feed" in command]
    assert "New trades come" not in site.served.output.read_text()


def test_a_login_by_key_opens_the_pages_of_the_api(opened: Opened):
    with opened(login=True) as watched:
        watched.goto("/api/v1/clock")
        watched.page.get_by_text("is_open").first.wait_for()
