from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import TransportError
from common.outcome import Reason
from common.secret import Secret
from tests.support.blocking import Blocking
from tests.support.recorder import eventually
from tests.workers.transports.mail_servers import DROP, HANG, PASSWORD, USER, mail_server, scripted
from workers.calls import CONTENT, Mail, MailReply, MailServer
from workers.transports.smtp import SmtpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workers.transports.conftest import MakePolicy
    from tests.workers.transports.servers import Authority
    from workers.delivery.event_loop import EventLoop

CONTENT_BYTES = b"Subject: hello\r\n\r\n.dot\r\nthe end\r\n"


@pytest.fixture
def smtp(policy: MakePolicy, event_loop: EventLoop) -> Callable[..., Blocking]:
    def make(**changes: Any) -> Blocking:
        return Blocking(SmtpTransport(policy(**changes), close_after_s=0.5), event_loop)

    return make


def mail(port: int, **server: Any) -> Mail:
    target = MailServer(url=f"{server.pop('scheme', 'smtp')}://127.0.0.1:{port}", **({"starttls": False} | server))
    return Mail(server=target, sender="wazuh@example.org", recipient="soc@example.org", message=CONTENT_BYTES)


def failure(transport: Blocking, call: Mail) -> TransportError:
    with pytest.raises(TransportError) as raised:
        transport.send(call)
    assert PASSWORD not in str(raised.value)
    return raised.value


def test_mails_go_over_one_connection(smtp: Callable[..., Blocking]) -> None:
    with mail_server() as (port, mailbox):
        transport = smtp()
        replies = [transport.send(mail(port)) for _ in range(3)]
    assert [(reply.status, reply.command) for reply in replies] == [(250, CONTENT)] * 3
    assert len({one.peer for one in mailbox.mails}) == 1
    first = mailbox.mails[0]
    assert (first.sender, first.recipients, first.content) == ("wazuh@example.org", ["soc@example.org"], CONTENT_BYTES)


def test_starttls_and_login(smtp: Callable[..., Blocking], authority: Authority) -> None:
    context = authority.context(authority.certificate("mail.example.org"))
    with mail_server(starttls=context, login=True) as (port, mailbox):
        call = mail(port, starttls=True, user=USER, password=Secret(PASSWORD))
        assert smtp(ca_bundle=authority.file).send(call).status == 250
    assert [(one.is_tls, one.user) for one in mailbox.mails] == [(True, USER.encode())]


def test_tls_from_the_first_byte(smtp: Callable[..., Blocking], authority: Authority) -> None:
    context = authority.context(authority.certificate("mail.example.org"))
    with mail_server(tls=context, login=True) as (port, mailbox):
        call = mail(port, scheme="smtps", user=USER, password=Secret(PASSWORD))
        assert smtp(ca_bundle=authority.file).send(call).status == 250
    assert mailbox.mails[0].user == USER.encode()


def test_a_wrong_password_is_a_refusal_of_auth(smtp: Callable[..., Blocking], authority: Authority) -> None:
    context = authority.context(authority.certificate("mail.example.org"))
    with mail_server(starttls=context, login=True) as (port, mailbox):
        call = mail(port, starttls=True, user=USER, password=Secret("wrong"))
        reply = smtp(ca_bundle=authority.file).send(call)
    assert (reply.status, reply.command) == (535, "AUTH")
    assert not mailbox.mails


def test_an_unknown_authority_is_not_trusted(smtp: Callable[..., Blocking], authority: Authority) -> None:
    context = authority.context(authority.certificate("mail.example.org"))
    with mail_server(starttls=context) as (port, mailbox):
        error = failure(smtp(), mail(port, starttls=True, user=USER, password=Secret(PASSWORD)))
        assert smtp(verify_tls=False).send(mail(port, starttls=True)).status == 250
    assert error.reason is Reason.TLS
    assert "name the file of its authority in ca_bundle" in error.detail
    assert len(mailbox.mails) == 1


def test_nothing_is_sent_in_clear_to_a_server_without_starttls(smtp: Callable[..., Blocking]) -> None:
    with scripted({}) as server:
        error = failure(smtp(), mail(server.port, starttls=True, user=USER, password=Secret(PASSWORD)))
    assert error.reason is Reason.TLS
    assert "does not offer STARTTLS" in error.detail
    assert set(server.commands) <= {"EHLO", "QUIT"}


def test_a_server_without_a_known_way_to_log_in(smtp: Callable[..., Blocking]) -> None:
    with scripted({"EHLO": b"250-x\r\n250 AUTH GSSAPI XOAUTH2\r\n"}) as server:
        error = failure(smtp(), mail(server.port, user=USER, password=Secret(PASSWORD)))
    assert (error.reason, error.detail.partition(" ")[2]) == (
        Reason.UNAUTHORIZED,
        "offers neither AUTH PLAIN nor AUTH LOGIN",
    )


@pytest.mark.parametrize("code", [421, 450, 452, 500, 530, 550, 552, 554])
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "."])
def test_a_refusal_names_its_command(smtp: Callable[..., Blocking], command: str, code: int) -> None:
    text = f"{code}-5.1.1 no\r\n{code} such user\r\n".encode()
    with scripted({command: text}) as server:
        reply = smtp().send(mail(server.port))
    assert reply == MailReply(status=code, body=b"5.1.1 no\nsuch user", command=CONTENT if command == "." else command)


def test_a_refusal_by_the_greeting_or_by_ehlo(smtp: Callable[..., Blocking]) -> None:
    with scripted({"": b"554 go away\r\n"}) as server:
        assert smtp().send(mail(server.port)) == MailReply(status=554, body=b"go away", command="")
    with scripted({"EHLO": b"550 no\r\n", "HELO": b"550 no\r\n"}) as server:
        assert smtp().send(mail(server.port)) == MailReply(status=550, body=b"no", command="HELO")


@pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_server_that_hangs_or_hangs_up_is_an_error(smtp: Callable[..., Blocking], command: str) -> None:
    with scripted({command: HANG}) as server:  # it never answers
        error = failure(smtp(request_timeout_s=0.5), mail(server.port))
    assert (error.reason, error.detail) == (
        Reason.TIMEOUT,
        f"127.0.0.1:{server.port} did not respond in time; the limit is 0.5 s",
    )
    with scripted({command: DROP}) as server:
        error = failure(smtp(), mail(server.port))
    assert error.reason in {Reason.CONNECTION_FAILED, Reason.INVALID_RESPONSE}


def test_a_drip_of_bytes_does_not_extend_the_limit(smtp: Callable[..., Blocking]) -> None:
    with scripted({"EHLO": b"250-" + b"x" * 100 + b"\r\n"}) as server:  # a reply that never ends
        assert failure(smtp(request_timeout_s=0.5), mail(server.port)).reason is Reason.TIMEOUT


def test_what_is_no_mail_server_is_an_error(smtp: Callable[..., Blocking]) -> None:
    with scripted({"": b"SSH-2.0-OpenSSH_9.6\r\n"}) as server:
        error = failure(smtp(request_timeout_s=1.0), mail(server.port))
    assert error.reason in {Reason.INVALID_RESPONSE, Reason.TIMEOUT}
    assert "HTTP" not in error.detail


def test_an_endless_reply_is_cut_off(smtp: Callable[..., Blocking]) -> None:
    with scripted({"EHLO": b"250-xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n" * 100_000}) as server:
        assert failure(smtp(request_timeout_s=30.0), mail(server.port)).reason is Reason.INVALID_RESPONSE


def test_nobody_listens(smtp: Callable[..., Blocking]) -> None:
    with scripted({}) as server:
        pass
    error = failure(smtp(), mail(server.port))
    assert (error.reason, error.detail) == (
        Reason.CONNECTION_FAILED,
        f"no connection to 127.0.0.1:{server.port}: Connection refused",
    )


def test_a_private_address_is_blocked(smtp: Callable[..., Blocking]) -> None:
    with mail_server() as (port, mailbox):
        error = failure(smtp(deny_private=True), mail(port))
    assert error.reason is Reason.NOT_CONFIGURED
    assert "is a private address, which deny_private blocks" in error.detail
    assert not mailbox.mails


def test_an_idle_connection_is_closed_with_quit(smtp: Callable[..., Blocking]) -> None:
    with scripted({}) as server:
        assert smtp().send(mail(server.port)).status == 250
        eventually(lambda: server.commands[-1] == "QUIT")


def test_a_connection_that_the_server_closed_is_replaced(smtp: Callable[..., Blocking]) -> None:
    transport = smtp()
    with mail_server() as (port, _):
        assert transport.send(mail(port)).status == 250
    with mail_server(port=port) as (_, mailbox):
        assert transport.send(mail(port)).status == 250
    assert len(mailbox.mails) == 1


def test_a_new_connection_follows_a_refusal(smtp: Callable[..., Blocking]) -> None:
    with mail_server() as (port, mailbox):
        transport, mailbox.refuse = smtp(), {"soc@example.org": "450 4.2.0 later"}
        assert transport.send(mail(port)).status == 450
        mailbox.refuse = {}
        assert transport.send(mail(port)).status == 250


@pytest.mark.parametrize("command", ["", "EHLO", "RCPT", ".", "QUIT"])
def test_a_hanging_server_does_not_delay_the_event_loop(
    policy: MakePolicy, event_loop: EventLoop, command: str
) -> None:
    """The loop goes on, also while the connection of a mail server that does not even reply to QUIT is closed."""
    gaps: list[float] = []

    async def tick(until: asyncio.Event) -> None:
        last = time.monotonic()
        while not until.is_set():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    async def run(port: int) -> None:
        done = asyncio.Event()
        ticking = asyncio.create_task(tick(done))
        transport = SmtpTransport(policy(request_timeout_s=2.0), close_after_s=0.1)
        await asyncio.gather(*(transport.send(mail(port)) for _ in range(5)), return_exceptions=True)
        await asyncio.sleep(0.5)
        done.set()
        await ticking

    with scripted({command: HANG, "RCPT": HANG if command == "RCPT" else b"250 OK\r\n"}) as server:
        asyncio.run_coroutine_threadsafe(run(server.port), event_loop.loop).result(60)
        if command == "QUIT":
            eventually(lambda: "QUIT" in server.commands)
    assert max(gaps) < 1.8  # libcurl would wait 2 s for each of these replies; a busy machine can delay a tick


def test_many_mails_at_once(smtp: Callable[..., Blocking]) -> None:
    with mail_server() as (port, mailbox), ThreadPoolExecutor(20) as pool:
        transport = smtp()
        replies = list(pool.map(lambda _: transport.send(mail(port)), range(60)))
    assert {reply.status for reply in replies} == {250}
    assert len(mailbox.mails) == 60
