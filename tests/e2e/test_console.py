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

from common.ledger import Commit, Facts, Header, Ledger
from common.ledger.history import encode_facts
from common.ledger.keys import history_key
from common.ledger.record import Attempt, Delivery
from common.ledger.types import DeadLetter
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from common.silences import Silence, fetch_silences, read_silences, write_silence
from ops.console.handler import PageHandler
from ops.console.routes import PAGES as ROUTES
from tests.e2e.compose.browser import chromium
from tests.e2e.compose.stack import ARTIFACTS
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis
    from playwright.sync_api import Browser, HttpCredentials, Page, Route

    from ops.standalone.embedded_redis import EmbeddedServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOGIN = "soc:s3cret-pass"
WIDTHS = (380, 1280, 2560)
PAGES = (
    "/",
    "/dead",
    "/dead/letter?letter=slack+d-1",
    "/dead?integration=nobody",
    "/search",
    "/search?match=rule.level+%3E+%3E",
    "/alert/d-1",
    "/silences?ended=1",
    "/integration/slack",
    "/integration/teams",
)
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
    facts = Facts("1.2", "5712", 10, HOSTILE[:100], "001", HOSTILE[:64], 1_769_846_400_000, 1_769_846_400_100, 1)
    ended = {"id": "d-9", "outcome": "delivered", "reason": "", "facts": encode_facts(facts)}
    client.xadd(history_key("teams"), ended, id="1769846401000-0")  # type: ignore[arg-type]  # a dict is invariant
    made.pause("teams", HOSTILE)
    odd = {
        "match": (HOSTILE[:16_000],),
        "integrations": (HOSTILE[:200],),
        "why": HOSTILE[:1000],
        "author": HOSTILE[:1000],
    }
    silence = Silence(id="x", start_ms=0, end_ms=1_769_846_400_000 + 10**12, **odd)  # type: ignore[arg-type]  # by name
    write_silence(client, silence, is_new=True)
    facts = Facts(rule_id="5712", rule_description=HOSTILE[:100], committed_ms=made.now_ms() - 9000)
    for number in range(40):
        fields: Any = {"id": f"e-{number}", "outcome": "delivered", "reason": "", "facts": encode_facts(facts)}
        client.xadd(history_key("teams"), fields)
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
    assert [one for one in complaints if "400" not in one] == [], "what cannot be read"


def test_open_pages_follow_and_times_are_local(browser: Browser, address: str, ledger: Ledger) -> None:
    page, complaints = opened(browser, address)
    page.goto("/")
    page.locator("#tile-teams .badge", has_text="paused").wait_for()
    ledger.resume("teams")
    page.locator("#tile-teams .badge", has_text="sending").wait_for()
    ledger.import_dead("teams", [*ledger.dead_letters("slack")])
    page.locator("#tile-teams a[href^='/dead']", has_text="3").click()
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
    page.wait_for_load_state()  # with its styles
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
def test_an_alert_is_found_with_the_keyboard_alone(browser: Browser, address: str, *, scripts: bool) -> None:
    page, complaints = opened(browser, address, java_script_enabled=scripts)
    page.goto("/")
    page.get_by_role("link", name="Search").focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Condition").fill("rule.level > > 9")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("condition, column 14").wait_for()
    page.get_by_role("textbox", name="Condition").fill("rule.level > 9 and outcome = delivered")
    page.keyboard.press("Enter")
    page.get_by_role("cell", name="delivered").wait_for()
    assert "match=rule.level+%3E+9" in page.url, "the address can be pasted into a ticket"
    page.get_by_role("link", name="1.2", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Alert 1.2").wait_for()
    assert page.url.endswith("/alert/1.2"), "the address can be pasted into a ticket"
    events = " ".join(page.locator(".timeline li").all_inner_texts())
    for event in ("queued teams", "ended teams", "attempt failed slack", "dead letter slack"):
        assert event in events
    assert [one for one in complaints if "400" not in one] == []


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


def test_courier_up_explains_an_alert_from_its_line_to_its_delivery(browser: Browser, tmp_path: Path) -> None:
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0") as up:
            address = eventually(lambda: re.search(r"the console is at (http://[^\"]+)/", up.log))[1]
            manager.append(2)
            eventually(lambda: len(target.bodies) == 2)
            page, complaints = opened(browser, address)

            def events() -> str:
                page.goto("/alert/1769846400.1")
                return " ".join(page.locator(".timeline li").all_inner_texts())

            eventually(lambda: "delivered, after 1 attempt" in events())
            assert "queued" in events()
            assert "Invalid user x" in page.locator("pre").inner_text(), "the alert is from the log"
            assert complaints == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_silence_is_added_and_ended(
    browser: Browser, address: str, ledger: Ledger, client: redis.Redis, *, scripts: bool
) -> None:
    page, complaints = opened(browser, address, java_script_enabled=scripts)
    page.goto("/integration/teams")
    page.get_by_role("link", name="Silence rule 5712").click()
    assert page.get_by_role("textbox", name="Rule ids").input_value() == "5712"
    form = page.get_by_role("form", name="Add a silence")
    form.get_by_role("textbox", name="For", exact=True).fill("2h")
    form.get_by_role("textbox", name="Reason").fill("patching")
    page.keyboard.press("Enter")
    page.get_by_text("The silence runs").wait_for()
    (silence,) = [one for one in read_silences(fetch_silences(client)).silences.values() if one.id != "x"]
    assert (silence.match, silence.integrations) == (("rule.id = 5712",), ("teams",))
    row = page.get_by_role("row").filter(has_text=silence.id)
    row.get_by_text("End…").click()
    row.get_by_role("textbox", name="Reason").fill("patched")
    row.get_by_role("button", name="End now").click()
    page.get_by_text("The silence is over").wait_for()
    now = read_silences(fetch_silences(client)).silences[silence.id]
    assert now.end_ms <= ledger.now_ms()
    assert complaints == []


def test_a_double_click_sends_a_form_once(browser: Browser, address: str) -> None:
    page, complaints = opened(browser, address)
    sent: list[Route] = []
    page.route("**/silences/add", lambda route: sent.append(route))  # noqa: PLW0108 — Playwright marks its handlers
    page.goto("/silences?rule=5712&for=2h")
    page.get_by_role("form", name="Add a silence").get_by_role("textbox", name="Reason").fill("patching")
    page.evaluate(
        "new Promise(done => { const button = document.querySelector('form[action=\"/silences/add\"] button');"
        "button.click(); setTimeout(() => { button.click(); setTimeout(done, 100) }, 100) })"
    )
    assert len(sent) == 1
    sent[0].continue_()
    page.get_by_text("The silence runs").wait_for()
    assert complaints == []


def test_an_integration_is_paused_resumed_and_its_hold_ended(browser: Browser, address: str, ledger: Ledger) -> None:
    page, complaints = opened(browser, address)
    page.goto("/")
    page.get_by_role("link", name="teams").click()
    page.get_by_role("heading", name="teams").wait_for()
    page.get_by_text("Resume…").click()
    page.get_by_role("textbox", name="Reason").first.fill("moved")
    page.get_by_role("button", name="Resume now").click()
    page.get_by_text("The pause is over").wait_for()
    assert not ledger.status("teams").paused_ms
    terms = Commit(
        node="n",
        expected="",
        cursor="c",
        deliveries=[("h", b"{}")],
        max_backlog=9,
        max_backlog_bytes=999,
        held_until_ms={"h": ledger.now_ms() + 3_600_000},
    )
    ledger.commit_all({"teams": terms}, {})
    page.goto("/silences")
    row = page.get_by_role("row").filter(has_text="teams")
    row.get_by_text("Release…").click()
    row.get_by_role("textbox", name="Reason").fill("it is day")
    page.keyboard.press("Enter")
    page.get_by_text("are sent now").wait_for()
    assert ledger.status("teams").held == {}
    form = page.get_by_role("form", name="Pause an integration")
    form.get_by_role("combobox", name="Integration").select_option("teams")
    form.get_by_role("textbox", name="For", exact=True).fill("30m")
    form.get_by_role("textbox", name="Reason").fill("moving")
    form.get_by_role("button", name="Pause").click()
    page.get_by_text("The integration is paused").wait_for()
    status = ledger.status("teams")
    assert status.pause_reason == "moving"
    assert 1_790_000 < status.paused_until_ms - status.paused_ms <= 1_800_000
    assert complaints == []


def test_a_real_alert_is_shown_and_a_test_arrives(
    browser: Browser, client: redis.Redis, server: EmbeddedServer, tmp_path: Path
) -> None:
    """With a producer, a worker and a target: the message is that of the log's newest alert, and the test is sent."""
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        access = {"COURIER_REDIS_URL": server.url, "COURIER_FLOWER_BASIC_AUTH": LOGIN, "COURIER_PRODUCER_NODE": "n"}
        state = ("--state", str(manager.state))
        with (
            Courier(tmp_path, "producer", *manager.files(), **access) as producer,
            Courier(tmp_path, "worker", "--http", "--name", "w", *state, **access),
            Courier(
                tmp_path,
                "console",
                *("--console-port", "0", *state),
                **access | {"COURIER_PRODUCER_ALERTS": str(manager.alerts)},
            ) as console,
        ):
            eventually(lambda: "new integration; reading starts" in producer.log)
            manager.append(3)
            eventually(lambda: len(target.ids) == 3)
            eventually(lambda: client.xlen(history_key("slack")) == 3)
            found = eventually(lambda: re.search(r"the console is at (http://[^\"]+)/", console.log))
            page, complaints = opened(browser, found[1])
            page.goto("/integration/slack")
            page.get_by_text("Made of the newest matching alert of the log").wait_for()
            assert "1769846400.2" in page.inner_text("main")
            assert page.locator("svg.chart polyline").count() == 2
            page.get_by_role("textbox", name="Reason").last.fill("is it on?")
            page.get_by_role("button", name="Send a test alert").click()
            page.get_by_text("by soc: delivered, status 200").wait_for(timeout=30_000)
            assert any(b"Courier test" in body for body in target.bodies)
            assert complaints == []
            page.screenshot(path=ARTIFACTS / "console-test.png", full_page=True)
