"""From an alert to mails in a mailbox, with real processes and a real server for mails."""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_one_configuration import World
from tests.support.processes import Manager
from tests.support.recorder import Recorder, eventually
from tests.workers.transports.mail_servers import PASSWORD, USER, mail_server
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

TOML = """
[integrations.mail]
service = "email"
hook_url = "smtp://127.0.0.1:{port}"
[integrations.mail.email]
from = "Wazuh <wazuh@example.org>"
to = ["first@example.org", "second@example.org"]
user = "{user}"
password = "env:MAIL_PASSWORD"
"""

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_recipient_that_has_the_mail_does_not_get_it_again(
    tmp_path: Path, server: EmbeddedServer, client: redis.Redis
) -> None:
    assert client.ping()
    authority = Authority(tmp_path)
    context = authority.context(authority.certificate("mail.example.org"))
    with Recorder() as unused, mail_server(starttls=context, login=True) as (port, mailbox):
        world = World(tmp_path, server, Manager(tmp_path, unused))
        world.toml.write_text(TOML.format(port=port, user=USER))
        world.empty.write_text(f'[integrations.default]\nca_bundle = "{authority.file}"\n')
        world.access["MAIL_PASSWORD"] = PASSWORD
        mailbox.refuse["second@example.org"] = "550 5.1.1 no such user"
        with world.producer() as producer, world.worker() as worker:
            eventually(lambda: "serving integration" in worker.log)
            eventually(lambda: "reading starts" in producer.log)
            world.manager.append(1)
            eventually(lambda: "second@example.org: RCPT: SMTP 550: 5.1.1 no such user" in worker.log)
            eventually(lambda: "smtp_5xx" in courier(world, "dead", "list"))
            mailbox.refuse.clear()
            courier(world, "dead", "replay", "--integration", "mail", "--yes")
            eventually(lambda: len(mailbox.mails) == 2)
            log = producer.log + worker.log
    assert [one.recipients for one in mailbox.mails] == [["first@example.org"], ["second@example.org"]]
    assert all(one.is_tls and one.user == USER.encode() for one in mailbox.mails)
    first, second = (message_from_bytes(one.content, policy=SMTP) for one in mailbox.mails)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["To"] == "first@example.org, second@example.org"
    assert PASSWORD not in log


def courier(world: World, *words: str) -> str:
    """Return what a command of the operator prints."""
    environment = world.access | {"COURIER_SETTINGS": str(world.empty), "COURIER_STATE_DIR": str(world.elsewhere)}
    command = [sys.executable, "-m", "ops.cli.main", *words]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
