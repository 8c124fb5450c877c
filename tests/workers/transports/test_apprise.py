"""Services of Apprise against a local server, which the transport is led to whatever host a plugin calls."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus, urlsplit

import apprise
import msgspec
import pytest
import requests

from common.errors import TransportError
from common.outcome import Delivered, Reason, Rejected, Retry
from common.secret import Secret
from tests.support.blocking import Blocking
from tests.workers.integrations.examples import alert, rule, service
from tests.workers.transports.servers import raw, request_of, web
from workers.apprise.plugin import NOT_BY_HTTP, PluginError, open_plugin
from workers.calls import Response
from workers.transports.apprise import AppriseTransport
from workers.transports.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from common.outcome import Outcome
    from tests.workers.transports.conftest import MakePolicy
    from tests.workers.transports.servers import Authority, Web
    from workers.alert.alert import Alert
    from workers.calls import Request, Transport
    from workers.delivery.event_loop import EventLoop
    from workers.transports.http.connections import Connections

KEY = "c4n4ry0123456789c4n4ry0123456789"
HEX = "0123456789abcdef0123456789abcdef"


class Service(NamedTuple):
    url: str
    host: str
    body: Any = None


SERVICES = {
    "apprise": Service(f"apprises://api.example.org/{KEY}", "api.example.org"),
    "bark": Service(f"barks://bark.example.org/{KEY}", "bark.example.org"),
    "dingtalk": Service(f"dingtalk://{KEY}", "oapi.dingtalk.com", {"errcode": 0}),
    "discord": Service(f"discord://4174216298/{KEY}", "discord.com"),
    "form": Service(f"forms://me:{KEY}@form.example.org/x", "form.example.org"),
    "googlechat": Service(f"gchat://workspace/{KEY}/{KEY}", "chat.googleapis.com"),
    "gotify": Service(f"gotifys://gotify.example.org/{KEY}", "gotify.example.org"),
    "homeassistant": Service(f"hassios://home.example.org/{KEY}", "home.example.org"),
    "ifttt": Service(f"ifttt://{KEY}@WazuhAlert", "maker.ifttt.com"),
    "json": Service(f"jsons://me:{KEY}@json.example.org/x?format=markdown", "json.example.org"),
    "lark": Service(f"lark://{HEX}", "open.larksuite.com", {"code": 0}),
    "mailgun": Service(f"mailgun://soc@example.org/{KEY}-00000000-00000000/to@example.org", "api.mailgun.net"),
    "mattermost": Service(f"mmosts://chat.example.org/{KEY}", "chat.example.org"),
    "ntfy": Service(f"ntfys://me:{KEY}@ntfy.example.org/soc", "ntfy.example.org"),
    "opsgenie": Service("opsgenie://8b799edf-6f98-4d3a-9be7-2862fb4e5752", "api.opsgenie.com", {"requestId": "1"}),
    "pagerduty": Service(f"pagerduty://{KEY}@{HEX}", "events.pagerduty.com"),
    "pushbullet": Service(f"pbul://{KEY}", "api.pushbullet.com"),
    "pushover": Service(f"pover://{KEY[:30]}@{HEX[:30]}", "api.pushover.net", {"status": 1}),
    "rocketchat": Service(f"rockets://{KEY}/{KEY}@rocket.example.org/#soc?mode=webhook", "rocket.example.org"),
    "sendgrid": Service(f"sendgrid://{KEY}:from@example.org/to@example.org", "api.sendgrid.com"),
    "signal": Service("signals://signal.example.org/+15551234567/+15551235553", "signal.example.org"),
    "slack": Service(f"slack://T1JJ3T3L2/A1BRTD4JD/{KEY[:24]}/#soc", "hooks.slack.com", b"ok"),
    "telegram": Service(f"tgram://123456789:{KEY}/12315544/", "api.telegram.org", {"ok": True}),
    "twilio": Service(f"twilio://AC{HEX}:{HEX}@15551234567/15551235553", "api.twilio.com"),
    "webex": Service(f"wxteams://{KEY * 3}{KEY[:-16]}", "api.ciscospark.com"),
    "workflows": Service(f"workflows://flow.example.org:443/{KEY}/{KEY}", "flow.example.org"),
    "zulip": Service(f"zulip://bot@org/{KEY}/soc", "org.zulipchat.com"),
}
TITLE = "brute force trying to get access"


class Rerouted:
    """Sends each request to a local server, and keeps the URLs that were meant."""

    def __init__(self, http: Transport, to: str) -> None:
        self._http, self._to = http, to
        self.urls: list[str] = []

    async def send(self, call: Request) -> Response:
        self.urls.append(call.url)
        path = call.url.split("/", 3)[3] if call.url.count("/") > 2 else ""
        response: Response = await self._http.send(msgspec.structs.replace(call, url=f"{self._to}/{path}"))
        return response


class Sending:
    """Sends messages through service module and transports."""

    def __init__(self, transport: Blocking, rerouted: Rerouted) -> None:
        self._transport, self.rerouted = transport, rerouted

    def send(self, url: str, given: Alert | None = None) -> Outcome:
        made = service("apprise", hook_url=url)
        (call,) = made.build_calls(given or alert())
        try:
            response = self._transport.send(call)
        except TransportError as error:
            return made.interpret_failure(alert(), call, error)
        return made.interpret(alert(), call, response)


@pytest.fixture(scope="module")
def local() -> Iterator[Web]:
    with web() as served:
        yield served


@pytest.fixture
def sending(policy: MakePolicy, connections: Connections, event_loop: EventLoop, local: Web) -> Sending:
    local.seen.clear()
    local.status, local.headers, local.body = 200, {"Content-Type": "application/json"}, b"{}"
    given = policy(request_timeout_s=5.0)
    rerouted = Rerouted(HttpTransport(given, connections), local.url)
    return Sending(Blocking(AppriseTransport(rerouted, given), event_loop), rerouted)


@pytest.fixture
def direct(policy: MakePolicy, connections: Connections, event_loop: EventLoop, local: Web) -> Callable[..., Sending]:
    """Send to the host that a URL names."""
    local.seen.clear()
    local.status, local.headers, local.body = 200, {}, b"ok"

    def make(**changes: Any) -> Sending:
        given = policy(**changes)
        http = HttpTransport(given, connections)
        return Sending(Blocking(AppriseTransport(http, given), event_loop), Rerouted(http, ""))

    return make


@pytest.mark.parametrize("name", SERVICES)
def test_a_message_arrives_and_each_status_has_its_meaning(name: str, sending: Sending, local: Web) -> None:
    url, host, body = SERVICES[name]
    local.body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    assert sending.send(url) == Delivered()
    assert urlsplit(sending.rerouted.urls[-1]).hostname == host
    arrived = unquote_plus(local.seen[-1].body.decode())
    assert TITLE in arrived
    assert "web01" in arrived
    assert "caronc" not in arrived  # Apprise's pictures are in its repository
    meanings = {}
    for status in (429, 500, 400, 401):
        local.status, local.headers = status, {"Retry-After": "30"} if status == 429 else {}
        before = len(local.seen)
        outcome = sending.send(url)
        meanings[status] = (type(outcome), getattr(outcome, "reason", None), getattr(outcome, "after_s", None))
        assert len(local.seen) == before + 1
        assert KEY[:24] not in f"{outcome!r}"
    assert meanings == {
        429: (Retry, Reason.RATE_LIMITED, 30.0),
        500: (Retry, Reason.HTTP_5XX, None),
        400: (Rejected, Reason.HTTP_4XX, None),
        401: (Retry, Reason.UNAUTHORIZED, None),
    }


def sent_texts(value: Any) -> Iterator[str]:
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from sent_texts(one)
    if isinstance(value, str):
        yield value


HOSTILE = (
    "<!channel> <!here|x> <@U012AB3CD> <users/all> @everyone @here @**all** @all <at>all</at> <b>x</b> "
    "[bank](https://evil.example) <https://evil.example|bank> <a href='https://evil.example'>bank</a> `x` ```"
)
LINK = re.compile(r"(?<!\\)\]\(https://evil")
ACTIVE = re.compile(r"(?<!\\)<(?:[!@]|/(?!b>)|users|at|https|a |b>x)|@(?:everyone|here|all|\*)")


@pytest.mark.parametrize(
    "name", ["discord", "googlechat", "json", "lark", "mattermost", "slack", "telegram", "workflows", "zulip"]
)
def test_alert_text_mentions_nobody_and_hides_no_link(name: str, sending: Sending, local: Web) -> None:
    url, _, body = SERVICES[name]
    local.body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    given = alert(rule=rule(description=HOSTILE), full_log=HOSTILE, location=HOSTILE, agent={"name": HOSTILE})
    assert sending.send(url, given) == Delivered()
    raw_body = local.seen[-1].body.decode()
    texts = list(sent_texts(json.loads(raw_body))) if raw_body.startswith("{") else [unquote_plus(raw_body)]
    assert "bank" in "".join(texts)
    assert [(found[0], one) for one in texts if (found := ACTIVE.search(one))] == []
    assert name == "telegram" or not any(LINK.search(one) for one in texts)  # whose markup is HTML


def test_a_response_that_says_no_in_its_body_is_no_delivery(sending: Sending, local: Web) -> None:
    local.body = json.dumps({"code": 19001, "msg": f"bad {HEX}"}).encode()
    outcome = sending.send(SERVICES["lark"].url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.INVALID_RESPONSE
    assert outcome.detail == 'Lark (Feishu) refused the message: HTTP 200: {"code": 19001, "msg": "bad ********"}'


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 100_000, b'{"code": "0"', b" " * 2_000_000])
def test_a_hostile_response_is_no_delivery_and_no_crash(body: bytes, sending: Sending, local: Web) -> None:
    local.body = body
    outcome = sending.send(SERVICES["opsgenie"].url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.INVALID_RESPONSE


def test_a_redirect_is_not_followed(sending: Sending, local: Web) -> None:
    local.status, local.headers = 302, {"Location": "/elsewhere"}
    outcome = sending.send(SERVICES["json"].url + "&redirect=yes")
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.REDIRECT
    assert len(local.seen) == 1


def test_the_guard_the_proxy_and_the_authorities_are_those_of_courier(
    direct: Callable[..., Sending], local: Web, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    here = f"json://127.0.0.1:{local.port}/x"
    outcome = direct(deny_private=True).send(here)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.NOT_CONFIGURED
    assert "deny_private" in outcome.detail
    assert local.seen == []
    assert direct().send(here) == Delivered()
    assert "authorization" not in local.seen[-1].headers
    assert direct(proxy=Secret(local.url)).send("json://json.example.org/x") == Delivered()
    assert local.seen[-1].path == "http://json.example.org/x"
    with web(authority.context(authority.certificate("target"))) as secure:
        there = f"jsons://127.0.0.1:{secure.port}/x?verify=no"
        untrusted = direct().send(there)
        assert isinstance(untrusted, Retry)
        assert untrusted.reason is Reason.TLS
        assert direct(ca_bundle=authority.file).send(there) == Delivered()


def test_one_time_limit_applies_to_all_requests_of_a_message(direct: Callable[..., Sending]) -> None:
    with raw(lambda connection: (request_of(connection), connection.recv(1))) as address:
        started = time.monotonic()
        outcome = direct(request_timeout_s=0.5).send(f"json://{address}/x?cto=60&rto=60&retry=5")
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.TIMEOUT
    assert time.monotonic() - started < 5


class Chosen:
    """Responds with the status that the path names, and at once lets other calls run."""

    async def send(self, call: Request) -> Response:
        await asyncio.sleep(0)
        return Response(status=int(urlsplit(call.url).path.strip("/")))


def test_calls_at_the_same_time_do_not_see_each_other_s_responses(policy: MakePolicy, local: Web) -> None:
    transport = AppriseTransport(Chosen(), policy())
    statuses = [200, 429, 500, 400] * 10
    calls = [
        service("apprise", hook_url=f"json://json.example.org/{status}").build_calls(alert())[0] for status in statuses
    ]

    async def all_calls() -> list[Response]:
        return await asyncio.gather(*(transport.send(call) for call in calls))

    assert [one.status for one in asyncio.run(all_calls())] == statuses
    assert requests.get(local.url, timeout=5).text == local.body.decode()  # others use requests as ever


LOGGED_IN: dict[str, dict[str, Any]] = {
    "matrixs://me:pass@matrix.example.org/#soc": {"access_token": "t", "home_server": "h", "user_id": "@me:h"},
    "embys://me@emby.example.org": {"access_token": "t", "user_id": "u"},
    "twist://pass:me@example.org/soc": {"token": "t"},
    f"ringc://15551234567:{KEY}@{KEY[:22]}/{KEY[:22]}/15551235553": {"_access_token": "t", "_expire_time": 1e12},
}


@pytest.mark.parametrize("url", LOGGED_IN)
def test_a_plugin_that_is_no_longer_used_makes_no_request_of_its_own(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", lambda *_arguments, **_named: sent.append(url))
    plugin = open_plugin(url)
    vars(plugin).update(LOGGED_IN[url])
    del plugin
    gc.collect()
    assert sent == []


def test_apprise_logs_nothing(sending: Sending, local: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    local.status, local.body = 500, KEY.encode()
    sending.send(SERVICES["discord"].url)
    assert [one for one in caplog.records if one.name.startswith(("apprise", "urllib3", "requests"))] == []
    assert KEY not in caplog.text


def test_without_apprise_alerts_wait_and_the_outcome_says_what_to_install(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    outcome = sending.send(SERVICES["discord"].url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.NOT_CONFIGURED
    assert "pip install 'courier-integrator[apprise]'" in outcome.detail


def test_the_plugins_without_http_are_known() -> None:
    folder, found = Path(apprise.__file__).parent / "plugins", set()
    network = {"asyncio", "concurrent", "ctypes", "dbus", "gi", "gntp", "hid", "http", "multiprocessing", "paho"}
    network |= {"pika", "proton", "select", "slixmpp", "smpplib", "smtplib", "socket", "ssl", "subprocess", "syslog"}
    network |= {"threading", "urllib.request", "urllib3", "win32api"}
    for file in folder.rglob("*.py"):
        for name in re.findall(r"^\s*(?:import|from) ([\w.]+)", file.read_text(), re.MULTILINE):
            if name in network or name.partition(".")[0] in network or name.endswith(".utils.socket"):
                found.add(file.relative_to(folder).parts[0].removesuffix(".py"))
    assert found - {"base", "matrix"} == set(NOT_BY_HTTP)  # base.py: for async_notify; matrix: a lock


NO_HTTP = ", which Courier refuses because it does not use HTTP"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"mailto://me:{KEY}@example.org", f'is for email{NO_HTTP}; use service = "email"'),
        ("mqtt://example.org/topic", f"is for mqtt{NO_HTTP}"),
        (f"foo://{KEY}", "names no service of Apprise: see https://appriseit.com/services/"),
        (
            f"discord://{KEY}",
            "is not accepted by Apprise as one of Discord: see https://appriseit.com/services/discord/",
        ),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{KEY[:24]}/#a/#b", "names 2 targets: write one integration for each, so that"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{KEY[:24]}/#a?template=/etc/passwd", "has template=, but Courier"),
        (f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{KEY[:24]}?template=/etc/passwd", "has template=, but"),
        (f"discord://4174216298/{KEY}?template=https://example.org/x", "has template=, but Courier"),
        (f"tgram://123456789:{KEY}/12315544/?template=file:///etc/passwd", "has template=, but Courier"),
        (f"workflows://flow.example.org/{KEY}/{KEY}?template=x.json", "has template=, but Courier"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_quoting_it(url: str, problem: str) -> None:
    with pytest.raises(PluginError) as refused:
        open_plugin(url)
    assert str(refused.value).startswith(problem)
    assert KEY not in str(refused.value)
