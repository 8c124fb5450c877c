"""The console in a real browser, with a real server: its pages at every size, hostile text, and an action to the end.

Screenshots go to artifacts/.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from common.ledger import Header, Ledger
from common.ledger.record import Attempt, Delivery
from common.ledger.types import DeadLetter
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from ops.console.handler import PageHandler
from ops.console.routes import PAGES as ROUTES
from tests.e2e.compose.browser import chromium
from tests.e2e.compose.stack import ARTIFACTS
from tests.support.processes import Courier
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis
    from playwright.sync_api import Browser, HttpCredentials, Page

    from ops.standalone.embedded_redis import EmbeddedServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOGIN = "soc:s3cret-pass"
WIDTHS = (380, 1280, 2560)
PAGES = ("/", "/dead", "/dead/letter?letter=slack+d-1", "/dead?integration=nobody")
HOSTILE = (
    "</td><script>document.title='owned'</script><img src=x onerror=alert(1)>\u202e\u05e9\u05dc\u05d5\u05dd"
    + "x" * 100_000
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def address(server: EmbeddedServer, ledger: Ledger, tmp_path: Path) -> Iterator[str]:
    del ledger
    settings = {"COURIER_REDIS_URL": server.url, "COURIER_FLOWER_BASIC_AUTH": LOGIN}
    with Courier(tmp_path, "console", "--console-port", "0", **settings) as console:
        yield eventually(lambda: re.search(r"the console is at (http://[^\"]+)/", console.log))[1]


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    for one in ("version", "slack", "teams"):
        client.hset("courier:integrations", one, "1")
    made = Ledger(client)
    alert = {"id": "1.2", "rule": {"id": "5712", "level": 10, "description": HOSTILE}, "agent": {"name": HOSTILE}}
    header = Header(
        committed_ms=1_769_846_400_000, attempts=1, history=(Attempt(1_769_846_400_000, "http_4xx", HOSTILE),)
    )
    letters = [
        DeadLetter(Delivery(f"d-{n}", header, json.dumps(alert).encode()), 1_769_846_400_000 + n) for n in range(3)
    ]
    made.import_dead("slack", letters)
    made.pause("teams", HOSTILE)
    report_processes(client, made)
    return made


def report_processes(client: redis.Redis, ledger: Ledger) -> None:
    """Give the overview a source and a worker, with their errors."""
    lags, now_ms = {"slack": IntegrationLag(lag_s=75.0)}, ledger.now_ms()
    producer = ProducerReport(seen_ms=now_ms, lags=lags, config_error=HOSTILE)
    publish_producer_report(client, "manager-1", producer, added={})
    worker = WorkerReport(seen_ms=now_ms, begun=1, running=2, idle_since_ms=now_ms, config_error=HOSTILE)
    publish_worker_report(client, "http@h", "p", worker)


def opened(browser: Browser, address: str, **options: object) -> tuple[Page, list[str]]:
    """Return a new page with the login, and what the browser complains about."""
    user, _, password = LOGIN.partition(":")
    credentials: HttpCredentials = {"username": user, "password": password}
    context = browser.new_context(
        base_url=address,
        http_credentials=credentials,
        timezone_id="Asia/Kolkata",
        **options,  # type: ignore[arg-type]  # options by name
    )
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_every_screen_whatever_alerts_say(browser: Browser, address: str, scheme: str) -> None:
    page, complaints = opened(browser, address, color_scheme=scheme)
    ARTIFACTS.mkdir(exist_ok=True)
    for number, path in enumerate(PAGES):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            page.screenshot(path=ARTIFACTS / f"console-{number}-{width}-{scheme}.png")
        assert page.title() != "owned"
        assert "\u202e" not in page.inner_text("body")
        assert page.locator("h1").count() == page.locator("main").count() == page.locator("nav").count() == 1
    assert [one for one in complaints if "400" not in one] == [], "the unknown integration is the one error"


def test_open_pages_follow_and_times_are_local(browser: Browser, address: str, ledger: Ledger) -> None:
    page, complaints = opened(browser, address)
    page.goto("/")
    page.locator("#tile-teams .badge", has_text="paused").wait_for()
    ledger.resume("teams")
    page.locator("#tile-teams .badge", has_text="sending").wait_for()
    ledger.import_dead("teams", [*ledger.dead_letters("slack")])
    page.locator("#tile-teams a", has_text="3").click()
    assert page.url.endswith("/dead?integration=teams")
    page.goto("/dead/letter?letter=slack+d-1")
    shown = page.locator("time:not(.ago)").first
    assert shown.inner_text() == "2026-01-31 13:30:00"
    assert shown.get_attribute("title") == "2026-01-31T08:00:00Z"
    assert complaints == []


def one_address_of_each_page(page: Page) -> dict[str, str]:
    """Return addresses by the path of their route, PAGES first, then where links lead."""
    found, queue = dict[str, str](), [*PAGES]
    for address in queue:  # grows
        path = urlsplit(address).path
        (route,) = (one.path for one in ROUTES if re.fullmatch(one.path, path))
        if route not in found:
            found[route] = address
            page.goto(address)
            queue += page.locator("a[href^='/']").evaluate_all("all => all.map(link => link.getAttribute('href'))")
    return found


def barriers(page: Page) -> list[str]:
    """Return what axe finds on the page that a person with a disability cannot use."""
    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    violations: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"{page.url}: {one['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for one in violations
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 380)])
def test_axe_finds_no_barrier_on_any_page(browser: Browser, address: str, scheme: str, width: int) -> None:
    page, _ = opened(browser, address, color_scheme=scheme, viewport={"width": width, "height": 800})
    pages = one_address_of_each_page(page)
    shown = {one.path for one in ROUTES if one.handler.show is not PageHandler.show}
    assert set(pages) == shown, "no link leads to the page: add its address to PAGES"
    found = []
    for path in (*pages.values(), *PAGES):
        page.goto(path)
        found += barriers(page)
    page.goto("/dead")
    page.get_by_role("checkbox", name="Select d-1").check()
    page.get_by_role("button", name="Replay…").click()
    page.get_by_role("heading", name="Replay 1 dead letter?").wait_for()
    found += barriers(page)
    assert not found, "\n".join(found)


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address)
    page.route("**/live/**", lambda route: route.abort())  # an update would replace the numbered elements
    for path in one_address_of_each_page(page).values():
        page.goto(path)
        wanted = page.locator("a, button, input:not([type=hidden]), select, textarea, [tabindex='0']").evaluate_all(
            "found => found.filter(one => one.checkVisibility()).map((one, n) => { one.dataset.n = n; return n })"
        )
        reached = list[int]()
        for _ in range(3 * len(wanted)):  # Chromium also stops at each element that scrolls
            page.keyboard.press("Tab")
            number, outline = page.evaluate(
                "[document.activeElement.dataset.n, getComputedStyle(document.activeElement).outlineStyle]"
            )
            assert outline != "none", (path, number)
            reached += [] if number is None else [int(number)]
            if len(reached) == len(wanted):
                break
        assert reached == wanted, f"{path}: in the order of the page"


@pytest.mark.parametrize("scripts", [True, False])
def test_dead_letters_are_replayed_with_the_keyboard_alone(
    browser: Browser, address: str, ledger: Ledger, *, scripts: bool
) -> None:
    page, _ = opened(browser, address, java_script_enabled=scripts)
    page.goto("/dead")
    page.get_by_role("checkbox", name="Select d-1").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Replay…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Replay 1 dead letter?").wait_for()
    page.get_by_role("textbox", name="Reason").fill("the hook is repaired")
    page.keyboard.press("Enter")
    page.get_by_text("1 dead letter queued").wait_for()
    assert {one.delivery.id for one in ledger.dead_letters("slack")} == {"d-0", "d-2"}


def test_select_all_export_and_discard(browser: Browser, address: str, ledger: Ledger) -> None:
    page, complaints = opened(browser, address)
    page.goto("/dead")
    page.get_by_role("checkbox", name="Select all on this page").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert re.fullmatch(r"dead-letters-\d{8}T\d{6}Z\.jsonl", download.value.suggested_filename)
    assert len(download.value.path().read_bytes().splitlines()) == 3
    page.get_by_role("button", name="Discard…").click()
    page.get_by_role("button", name="Discard 3 dead letters").click()
    assert page.get_by_role("textbox", name="Reason").evaluate("field => field.validity.valueMissing")
    assert ledger.status("slack").dead == 3
    page.get_by_role("textbox", name="Reason").fill("a test")
    page.get_by_role("button", name="Discard 3 dead letters").click()
    page.get_by_text("3 dead letters discarded").wait_for()
    assert ledger.status("slack").dead == 0
    assert complaints == []
