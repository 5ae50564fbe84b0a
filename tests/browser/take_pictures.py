"""Takes the pictures of docs/images from a server with the sample: `python -m tests.browser.take_pictures`."""

import base64
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium
from tests.front.front_server import eventually
from tests.system.installation import Installation, installed
from tests.system.traders import is_engine_alive, trader_key

IMAGES = Path(__file__).parents[2] / "docs" / "images"
QUALITY = 70


def shoot(page: Page, name: str, part: str | None = None) -> None:
    """Write the page, or a part of it, as WebP."""
    page.wait_for_timeout(1_500)
    options: dict[str, Any] = {"format": "webp", "quality": QUALITY}
    if part is not None:
        options["clip"] = {**(page.locator(part).bounding_box() or {}), "scale": 1}
    shot = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    (IMAGES / f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))


def opened(browser: Browser, site: Installation, scheme: Any = "light") -> Page:
    """Return a page of somebody who is logged in."""
    base, size = f"http://127.0.0.1:{site.port}", {"width": 1440, "height": 900}
    context = browser.new_context(base_url=base, viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    answer = context.request.post(
        "/api/v1/auth/token", data={"key": site.key}, headers={"X-Refresh": "cookie"}
    )
    assert answer.ok, answer.text()
    return context.new_page()


def show(page: Page, symbol: str, span: str) -> None:
    page.goto(f"/?symbol={symbol}&account=DEMO")
    expect(page.locator("#last-price")).not_to_be_empty()
    page.locator("#ranges").get_by_text(span, exact=True).click()


def trade(client: httpx.Client, key: str) -> str:
    """Buy, place an order that waits, and run a backtest by a key; return the backtest's id."""
    client.post("/api/v1/trading/start?account=DEMO").raise_for_status()
    price = client.get("/api/v1/market-data/crypto/DEMO-USD/latest").json()["trade"]["price"]
    orders = [
        {"quantity": 20, "stop_loss": round(price * 0.97, 2), "take_profit": round(price * 1.05, 2)},
        {"quantity": 10, "type": "limit", "limit_price": round(price * 0.98, 2)},
    ]
    for number, terms in enumerate(orders):
        body = {"symbol": "DEMO-USD", "side": "buy", "client_order_id": f"picture-{number}", **terms}
        client.post("/api/v1/orders?account=DEMO", json=body).raise_for_status()
    assert eventually(lambda: client.get("/api/v1/executions?account=DEMO").json()["executions"])
    body = {"strategy": "crossover", "symbols": ["DEMOX"], "parameters": {"interval": "1d"}}
    job: str = client.post("/api/v1/backtests", json=body, headers={"X-API-Key": key}).json()["id"]
    return job


def take(browser: Browser, site: Installation, backtest: str) -> None:
    for scheme in ("light", "dark"):
        page = opened(browser, site, scheme)
        show(page, "DEMO-USD", "1D")
        shoot(page, f"dashboard-{scheme}")
    page = opened(browser, site)
    show(page, "DEMO-USD", "1D")
    page.locator("#order-quantity").fill("5")
    page.locator("#order-loss").fill("100")
    page.locator("#sides button").first.click()
    page.locator("#preview dl, #preview table").first.wait_for()
    shoot(page, "ticket", "#side")
    show(page, "DEMOA", "5D")
    expect(page.locator("#asof")).to_be_enabled()
    page.locator("#asof").focus()
    # Now, the correction of the newest day's wrong print, and its commit before.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.locator("#asof-notice").wait_for()
    shoot(page, "as-of", "#chart-section")
    page.goto(f"/api/v1/backtests/{backtest}")
    page.locator("canvas").first.wait_for()
    shoot(page, "backtest")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder), LOAD_SAMPLE="1") as site:
        assert eventually(lambda: is_engine_alive(site))
        headers = {"X-API-Key": trader_key(site, "*")}
        with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", headers=headers, timeout=30) as client:
            backtest = trade(client, site.key)
        with chromium() as browser:
            take(browser, site, backtest)


if __name__ == "__main__":
    main()
