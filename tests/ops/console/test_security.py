"""Other web sites, visitors without a login and forged headers get nothing from the console."""

from __future__ import annotations

import base64
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from ops.console.security import HEADERS
from ops.console.wrong_logins import BURST, MAX_KEPT, REFILL_S, WrongLogins, network_of
from tests.support.console import LOGIN, ConsoleServer, Visitor
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

PROXY = {"console.trusted_proxies": "127.0.0.0/8", "console.user_header": "X-Forwarded-User"}


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize("path", ["/", "/nothing", "/health", "/static/console.css", "/static/no", "/live/no"])
def test_every_response_has_the_headers(operator: Visitor, path: str) -> None:
    answer = operator.get(path)
    assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS
    assert "server" not in answer.headers
    assert "unsafe-inline" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/live/overview"])
@pytest.mark.parametrize("login", ["", "soc:wrong", "other:s3cret-pass", "soc", LOGIN + "x"])
def test_a_page_needs_the_login(console: ConsoleServer, path: str, login: str) -> None:
    answer = console.visitor(login).get(path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert "sources" not in answer.text


@pytest.mark.parametrize("header", ["Basic !", "Basic", "Bearer x", "Basic " + "A" * 20_000, basic(":")])
def test_a_malformed_login_is_a_wrong_one(console: ConsoleServer, header: str) -> None:
    assert console.visitor("").get("/", Authorization=header).status == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("attacker.example", 421),
        ("attacker.example:80", 421),
        ("127.0.0.1.attacker.example", 421),
        ("soc.example.org", 200),
        ("localhost:1", 200),
        ("[::1]:5580", 200),
    ],
)
def test_only_known_host_names_are_served(operator: Visitor, host: str, status: int) -> None:
    answer = operator.get("/", Host=host)
    assert answer.status == status
    assert ("console.hosts" in answer.text) == (status == 421)


def test_a_form_needs_the_token_of_a_page(operator: Visitor) -> None:
    assert operator.post("/").status == 405, "the page itself changes nothing"
    assert operator.post("/", token="").status == 403
    other = operator.post("/", token="2|00000000|00000000000000000000000000000000|1")
    assert other.status == 403
    assert "load the page again" in other.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 405),
    ],
)
def test_a_form_of_another_site_is_refused_even_with_a_token(
    operator: Visitor, headers: dict[str, str], status: int
) -> None:
    assert operator.post("/", headers=headers).status == status


@pytest.mark.parametrize("path", ["/", "/dead", "/live/overview"])
@pytest.mark.parametrize("target", ["empty", "image", "iframe", "script"])
def test_other_sites_can_link_to_pages_but_not_include_them(operator: Visitor, path: str, target: str) -> None:
    for site in ("cross-site", "same-site"):
        assert operator.get(path, Sec_Fetch_Site=site, Sec_Fetch_Dest=target).status == 403
    assert operator.get("/dead", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document").status == 200
    assert operator.get("/dead", Sec_Fetch_Site="same-origin", Sec_Fetch_Dest=target).status == 200


PAGE = 200
WRONG, TOO_MANY = 401, 429


def test_guessing_is_slow_and_keeps_nobody_else_out(
    client: redis.Redis, server: EmbeddedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del client
    with ConsoleServer(tmp_path, server.url, **{"flower.basic_auth": LOGIN}) as console:
        here, guesser = console.visitor(), console.visitor("soc:wrong")
        assert [here.get("/").status for _ in range(2)] == [PAGE] * 2
        paths = ["/", "/nothing", "/live/overview"] * BURST
        assert [guesser.get(path).status for path in paths[: BURST + 1]] == [WRONG] * BURST + [TOO_MANY]
        last = console.visitor().get("/")  # it could be a guess that is right
        assert (last.status, last.headers["retry-after"]) == (TOO_MANY, "5")
        assert "try again in" in last.text
        assert here.get("/").status == PAGE, "a browser that has logged in is not kept out by others at its address"
        assert here.post("/").status == 405
        assert console.visitor("").get("/").status == WRONG, "without a login there is nothing to guess"
        assert console.visitor("").get("/health").status == PAGE
    assert caplog.text.count("too many wrong logins from one address") == 1


def test_behind_a_trusted_proxy_each_address_has_wrong_logins_of_its_own(
    client: redis.Redis, server: EmbeddedServer, tmp_path: Path
) -> None:
    del client
    with ConsoleServer(tmp_path, server.url, **PROXY | {"flower.basic_auth": LOGIN}) as console:
        wrong = console.visitor("soc:wrong")
        forged = ("198.51.100.9", "junk", "2001:db8::9")
        answers = [wrong.get("/", X_Forwarded_For=f"{forged[n % 3]}, 203.0.113.7, 127.0.0.2").status for n in range(21)]
        assert answers == [WRONG] * BURST + [TOO_MANY]
        for address, status in [
            ("203.0.113.7", TOO_MANY),
            ("203.0.113.8", PAGE),
            ("198.51.100.9", PAGE),
            ("junk", PAGE),
            ("", PAGE),
        ]:
            assert console.visitor().get("/", X_Forwarded_For=address).status == status
        named = console.visitor("soc:wrong").get("/", X_Forwarded_For="203.0.113.7", X_Forwarded_User="zoe")
        assert named.status == PAGE


def test_wrong_logins_are_forgiven_with_time_and_few_are_remembered() -> None:
    now_s = 1_000.0
    wrong = WrongLogins(lambda: now_s)
    assert [wrong.add("a") for _ in range(BURST)] == [False] * (BURST - 1) + [True]
    assert wrong.wait_s("a") == REFILL_S
    assert wrong.wait_s("b") == 0
    now_s += REFILL_S
    assert wrong.wait_s("a") == 0
    assert wrong.add("a")
    for number in range(MAX_KEPT):
        wrong.add(str(number))
    assert wrong.wait_s("a") == 0, "forgotten"
    wrong.remember("cookie")
    assert [wrong.visitor("203.0.113.7", one) for one in ("cookie", "other")] == ["cookie", "203.0.113.7"]
    addresses = ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8::ffff:1", "fe80::1%eth0", "x" * 99]
    assert [*map(network_of, addresses)] == ["203.0.113.7"] * 2 + ["2001:db8::/64"] * 2 + ["fe80::/64", ""]


def test_the_cookie_is_of_no_use_to_other_sites(operator: Visitor) -> None:
    cookie = operator.get("/").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie


def test_an_address_that_is_no_text_is_refused_with_a_word(operator: Visitor) -> None:
    answer = operator.get("/silences?rule=%ff")
    assert (answer.status, "no text in UTF-8" in answer.text) == (400, True)


def test_requests_have_a_maximum_size(console: ConsoleServer, operator: Visitor) -> None:
    del console
    with pytest.raises(OSError, match=r"."):
        # The server closes the connection without reading the rest.
        raise OSError(operator.post("/", [("reason", "x" * (2 << 20))]).status)


@pytest.mark.parametrize("name", ["%00", "a%00.css", "..%2fhandler.py", "%2e%2e/handler.py", "/etc/passwd", ""])
def test_no_other_file_is_served_and_an_odd_name_is_no_error(
    operator: Visitor, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    assert operator.get(f"/static/{name}").status == 404
    assert [one for one in caplog.records if one.exc_info] == []


def test_connections_beyond_the_limit_are_closed_at_once(
    console: ConsoleServer, operator: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("ops.console.server.MAX_CONNECTIONS", 3)
    slow = [socket.create_connection(("127.0.0.1", console.port), timeout=30) for _ in range(4)]
    try:
        slow[0].sendall(b"GET / HTTP/1.1\r\n")
        assert slow[3].recv(1) == b""
    finally:
        for one in slow:
            one.close()
    assert eventually(lambda: "accepts connections again" in caplog.text)
    assert caplog.text.count("too many connections") == 1
    assert operator.get("/").status == 200


def test_without_a_login_everybody_may_read_and_nobody_change(
    client: redis.Redis, server: EmbeddedServer, tmp_path: Path
) -> None:
    del client
    with ConsoleServer(tmp_path, server.url) as console:
        visitor = console.visitor("")
        assert "read-only" in visitor.get("/").text
        answer = visitor.post("/")
        assert answer.status == 403
        assert "flower.basic_auth" in answer.text


def test_a_trusted_proxy_names_the_user(client: redis.Redis, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    with ConsoleServer(tmp_path, server.url, **PROXY) as console:
        visitor = console.visitor("")
        assert "Zoë" in visitor.get("/", X_Forwarded_User="Zoë".encode().decode("latin-1")).text
        assert (
            "Secure"
            in console.visitor("").get("/", X_Forwarded_User="a", X_Forwarded_Proto="https").headers["set-cookie"]
        )
        for header in ({}, {"X_Forwarded_User": ""}, {"X_Forwarded_User": "a, b"}, {"X_Forwarded_User": "x" * 101}):
            answer = console.visitor("").get("/", **header)
            assert answer.status == 401
            assert "www-authenticate" not in answer.headers


def test_nobody_else_can_name_a_user(client: redis.Redis, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    settings = PROXY | {"console.trusted_proxies": "10.0.0.0/8", "flower.basic_auth": LOGIN}
    with ConsoleServer(tmp_path, server.url, **settings) as console:
        forged = {"X_Forwarded_User": "admin", "X_Forwarded_Proto": "https"}
        assert console.visitor("").get("/", **forged).status == 401
        answer = console.visitor().get("/", **forged)
        assert "admin" not in answer.text
        assert "Secure" not in answer.headers["set-cookie"]
