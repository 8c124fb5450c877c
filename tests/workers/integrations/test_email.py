from __future__ import annotations

from email import message_from_bytes
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import TransportError
from common.outcome import Delivered, Reason, Rejected, Retry
from common.secret import Secret
from common.services.email import EmailOptions, Tls, check, recipients, sender_of, server_of
from tests.workers.integrations.examples import NOW_S, alert, block, refusal, rule, service
from workers.alert.alert import Alert
from workers.calls import CONTENT, Mail, MailReply, MailServer
from workers.redaction import Redactor
from workers.rendering import render_call

if TYPE_CHECKING:
    from email.message import EmailMessage

    from common.outcome import Outcome

PASSWORD = "c4n4ry-0123456789abcdef"
SECTION = {"from": "Wazuh Köln <wazuh@example.org>", "to": ["soc@example.org", "Night@example.net"]}
MAIL: dict[str, Any] = {
    "hook_url": "smtp://mail.example.org",
    "email": SECTION | {"user": "courier", "password": PASSWORD},
}


def calls(given_: Alert, **settings: Any) -> list[Mail]:
    return list(service("email", **(MAIL | settings)).build_calls(given_))


def content(given_: Alert, **settings: Any) -> EmailMessage:
    message = message_from_bytes(calls(given_, **settings)[0].message, policy=SMTP)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_each_recipient_is_a_call_of_its_own() -> None:
    first, second = calls(alert())
    assert (first.key, second.key) == ("soc@example.org", "night@example.net")
    assert (first.recipient, second.recipient) == ("soc@example.org", "Night@example.net")
    assert first.message == second.message
    assert first.server == MailServer(
        url="smtp://mail.example.org:587", starttls=True, user="courier", password=Secret(PASSWORD)
    )


def test_a_mail_is_text_and_html() -> None:
    message = content(alert())
    assert dict(message.items()) | {"Content-Type": "", "Message-ID": "", "In-Reply-To": "", "References": ""} == {
        "From": "Wazuh Köln <wazuh@example.org>",
        "To": "soc@example.org, Night@example.net",
        "Subject": "sshd: brute force trying to get access to the system.",
        "Date": "Sat, 11 May 2024 12:29:20 +0000",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Message-ID": "",
        "In-Reply-To": "",
        "References": "",
        "Content-Type": "",
    }
    assert message["Date"].datetime.timestamp() == NOW_S
    text = part(message, "plain")
    assert text.startswith("sshd: brute force trying to get access to the system.\r\n\r\nMay 11 12:29:18 web01")
    assert "\r\nAgent: web01 (001, 10.0.0.5)\r\n" in text
    page = part(message, "html")
    assert '<h3 style="margin:0 0 12px">sshd: brute force' in page
    assert "<b>Agent</b></td>" in page
    assert "#e8590c" in page


def test_the_message_id_follows_from_the_delivery() -> None:
    first, again, other = content(alert()), content(alert(id="1.2")), content(Alert(alert().raw, "node1:4f2a:2048"))
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@example.org>")


def test_mails_of_a_rule_and_an_agent_are_one_conversation() -> None:
    first, same, other = content(alert()), content(alert(id="1.2")), content(alert(rule=rule(id="5713")))
    assert first["References"] == first["In-Reply-To"] == same["References"] != other["References"]
    alone = content(alert(), email=SECTION | {"thread": False})
    assert alone["References"] is alone["In-Reply-To"] is None


def test_only_high_levels_are_important() -> None:
    assert content(alert())["Importance"] is None
    assert content(alert(rule=rule(level=12)))["Importance"] == "high"


def test_a_template_is_html_and_its_text_part_has_no_tags() -> None:
    text = "<p>From <b>{{ data.srcip }}</b></p>{{ full_log | code }}"
    message = content(alert(full_log="<img src=x> & more"), message={"title": "{{ agent.name }} <3", "text": text})
    assert message["Subject"] == "web01 <3"
    assert "From 172.17.1.1\r\n<img src=x> & more" in part(message, "plain")
    assert "<p>From <b>172.17.1.1</b></p><pre>&lt;img src=x&gt; &amp; more</pre>" in part(message, "html")


def test_the_subject_is_bounded_and_one_line() -> None:
    subject = content(alert(rule=rule(description="ä\r\nBcc: all@example.org\n\x0b\x85\u2028" + "🚨" * 5_000)))[
        "Subject"
    ]
    assert subject.startswith("ä Bcc: all@example.org 🚨")
    assert len(subject) <= 200


@pytest.mark.parametrize("length", [1_000, 40_001, 300_000])
def test_a_long_alert_is_a_bounded_mail(length: int) -> None:
    long = "🚨" * length
    given_ = alert(rule=rule(description=long), full_log=long, data={"srcip": long, "url": long}, location=long)
    assert len(calls(given_)[0].message) < 400_000


EMAIL = service("email", **MAIL)
CALL = EMAIL.build_calls(alert())[0]
HEADERS = sorted(message_from_bytes(CALL.message).keys())


def outcome(status: int, command: str, text: bytes = b"5.1.1 words") -> Outcome:
    return EMAIL.interpret(alert(), CALL, MailReply(status=status, body=text, command=command))


HOSTILE = st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n\0:.<>\u2028\x85=?"), max_size=200)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_alert_adds_a_header_a_part_or_an_end(title: str, log: str, name: str) -> None:
    given_ = alert(rule=rule(description=title), full_log=f"\r\n.\r\n{log}", agent={"id": name, "name": name})
    raw = EMAIL.build_calls(given_)[0].message
    message = message_from_bytes(raw, policy=SMTP)
    assert sorted(message.keys()) == HEADERS
    assert [one.get_content_type() for one in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1
    raw.decode("ascii")


COMMANDS = ("", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", CONTENT)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_reply_has_its_one_meaning(command: str) -> None:
    about_the_mail = command in {"RCPT", "DATA", CONTENT}
    for status in range(1000):
        found = outcome(status, command)
        meaning = (type(found), getattr(found, "reason", None))
        if status == 421:
            assert meaning == (Retry, Reason.CONNECTION_FAILED)
        elif status // 100 == 2:
            assert meaning == (Delivered, None)
        elif status // 100 == 4:
            assert meaning == (Retry, Reason.SMTP_4XX)
        elif (status, command) == (552, "MAIL"):
            assert meaning == (Rejected, Reason.TOO_LARGE)
        elif status // 100 == 5 and about_the_mail and status != 530:
            assert meaning == (Rejected, Reason.SMTP_5XX)
        elif status // 100 == 5:
            assert meaning == (Retry, Reason.UNAUTHORIZED)
        else:
            assert meaning == (Retry, Reason.INVALID_RESPONSE)


def test_a_server_that_does_not_relay_keeps_the_alerts() -> None:
    found = outcome(554, "RCPT", b"5.7.1 relay access denied")
    assert found == Retry(Reason.UNAUTHORIZED, "soc@example.org: RCPT: SMTP 554: 5.7.1 relay access denied")
    assert isinstance(outcome(554, CONTENT, b"5.7.1 spam"), Rejected)


def test_secrets_are_masked_everywhere() -> None:
    integration = block("email", **MAIL)
    given_ = service("email", **MAIL)
    call = given_.build_calls(alert())[0]
    seen = [repr(given_), repr(call), str(call.server), str(outcome(550, "RCPT", PASSWORD.encode()))]
    seen.append(str(given_.interpret_failure(alert(), call, TransportError(Reason.TIMEOUT, "no reply"))))
    seen.append(str(render_call(call, Redactor.of(integration))))
    assert [text for text in seen if PASSWORD in text] == []


def test_render_shows_headers_and_both_parts() -> None:
    rendered = render_call(calls(alert())[0], Redactor.of(block("email", **MAIL)))
    assert (rendered.method, rendered.url) == ("SMTP", "smtp://mail.example.org:587")
    assert rendered.headers["RCPT TO"] == "<soc@example.org>"
    assert rendered.headers["From"] == "Wazuh Köln <wazuh@example.org>"
    assert "--- text/plain\nsshd: brute force" in rendered.body.replace("\r\n", "\n")
    assert "--- text/html\n<!DOCTYPE html>" in rendered.body.replace("\r\n", "\n")


def test_an_incomplete_block_is_refused() -> None:
    assert refusal("email", alert(), hook_url="smtp://x").detail == "ossec.conf:7: <email>: needs from and to"
    assert refusal("email", alert(), hook_url="https://x").detail.startswith("ossec.conf:7: <hook_url>: is not the add")


def problems(hook_url: str = "smtp://mail.example.org", **options: Any) -> dict[str, str]:
    given_ = EmailOptions(**({"from_": "a@example.org", "to": ("b@example.org",)} | options))
    return dict(check(block("email", hook_url=hook_url), given_))


def test_the_check_names_what_is_missing_and_what_contradicts() -> None:
    assert problems() == {}
    assert set(problems(from_="", to=())) == {"from", "to"}
    assert set(problems(user="x")) == set(problems(password=Secret("x"))) == {"user"}
    login: dict[str, Any] = {"user": "x", "password": Secret("y"), "tls": Tls.NONE}
    assert set(problems(**login)) == {"tls"}
    assert problems("smtps://mail.example.org", **login) == {}


def test_a_login_in_the_url_is_refused_without_quoting_it() -> None:
    with pytest.raises(ValueError, match="must have no login") as refused:
        server_of("smtp://me:secret@mail.example.org")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("smtp://mail.example.org", "smtp://mail.example.org:587"),
        ("smtps://mail.example.org/", "smtps://mail.example.org:465"),
        ("smtp://10.0.0.5:25", "smtp://10.0.0.5:25"),
        ("smtp://[fd00::5]:25", "smtp://[fd00::5]:25"),
    ],
)
def test_a_hook_url_names_a_server(written: str, url: str) -> None:
    assert server_of(written).url == url


@pytest.mark.parametrize(
    "written",
    ["", "mail.example.org", "http://x", "smtp://", "smtp://x:99999", "smtp://x/y", "smtp://x y", "smtp://[x"],
)
def test_other_urls_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="write smtp://HOST:587"):
        server_of(written)


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "@b", "a@", "a b@c", "a@b c", "a@b\r\nBcc: c@d", "ä@b.c", "a@b..c", ".a@b", "<a@b>x", '"a"@b'),
        *("a@b>\r\nRCPT TO:<c@d", "a@-b", "a@" + "b" * 300),
    ],
)
def test_invalid_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — each has its own text
        sender_of(address)
    with pytest.raises(ValueError):  # noqa: PT011 — as above
        recipients().parse([address])


def test_recipients_are_a_list_without_names_and_repetitions() -> None:
    assert recipients().parse("a@b.c") == ("a@b.c",)
    for wrong in ([], ["A <a@b.c>"], ["a@b.c", "A@B.C"], [f"a{n}@b.c" for n in range(21)], [7]):
        with pytest.raises(ValueError):  # noqa: PT011 — each has its own text
            recipients().parse(wrong)
