"""No secret of an integration is visible anywhere, whatever its service or script does.

One run of real processes: a block for every service and every kind of failure, each with its own secrets. The target
repeats each request in every encoding. Then the tests search everything that was written for the secrets.
"""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from base64 import b64encode
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from xml.sax.saxutils import escape

import pytest
import redis
from click.testing import CliRunner

from common.ledger import Ledger
from common.secret import MASK
from ops.cli.main import courier
from ops.standalone.embedded_redis import free_port
from tests.security.repeating_target import ANSWERS, FAILURES, RepeatingTarget
from tests.support.processes import Courier
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from ops.standalone.embedded_redis import EmbeddedServer

SERVICES: Final = ("slack", "shuffle", "pagerduty", "virustotal", "maltiverse")
SCRIPTS: Final = ("exits", "hangs", "missing")
HTTP_IDS: Final = tuple(f"{service}-{failure}" for service in SERVICES for failure in FAILURES)
SCRIPT_IDS: Final = tuple(f"custom-leak-{way}" for way in SCRIPTS)
IDS: Final = (*HTTP_IDS, *SCRIPT_IDS)
ROLES: Final = ("user", "password", "path", "query", "key", "option", "short", "proxy", "variable", "environ")

ALERT: Final = {
    "timestamp": "2026-01-31T08:00:00.000+0000",
    "rule": {"level": 10, "id": "550", "description": "Integrity checksum changed.", "groups": ["syscheck"]},
    "agent": {"id": "001", "name": "web01", "ip": "10.0.0.5"},
    "manager": {"name": "wazuh"},
    "id": "1769846400.1",
    "full_log": "File changed",
    "syscheck": {"path": "/x", "md5_after": "44d88612fea8a8f36de82e1278abb02f", "sha1_after": "3395856ce8"},
    "location": "syscheck",
}

SCRIPT: Final = f"""#!{sys.executable}
import base64, json, os, sys, time, urllib.parse
said = [*sys.argv[2:4], open(sys.argv[5]).read(), *(os.environ[name] for name in ("VARIABLE", "ftp_proxy", "X_TOKEN"))]
for text in said:
    print(text, urllib.parse.quote(text, ""), json.dumps(text), base64.b64encode(text.encode()).decode(), sep="\\n")
print(base64.b64encode("".join(said).encode()).decode())
print(*(text.strip() for text in said), flush=True)
time.sleep("hangs" in sys.argv[2] and 60)
sys.exit(1)
"""


def letters(integration_id: str, role: str) -> str:
    """Return the secret of one role: letters that occur nowhere else; few for roles with short secrets."""
    size = 6 if role in {"query", "short"} else 12
    digest = sha256(f"{integration_id}/{role}".encode()).digest()
    return "".join("ghjkmnpqrstvwxyz"[byte % 16] for byte in digest[:size])


def needles(secret: str) -> Iterator[str]:
    """Yield the texts that reveal a secret: itself, and its base64 form at every offset."""
    yield secret
    for before, skipped in enumerate((0, 2, 3)):
        encoded = b64encode(bytes(before) + secret.encode()).decode()
        yield encoded[skipped : (before + len(secret)) * 8 // 6]


class Block(NamedTuple):
    """One integration with a secret in every possible place."""

    id: str
    port: int

    def secret(self, role: str) -> str:
        return letters(self.id, role)

    @property
    def failure(self) -> str:
        return self.id.rpartition("-")[2]

    @property
    def service(self) -> str:
        return self.id.partition("-")[0]

    def url(self) -> str:
        scheme = "https" if self.failure == "tls" else "http"
        port = 1 if self.failure == "connect" else self.port
        path = f"{self.id}/{self.secret('path')}"
        if self.service == "maltiverse":  # its hook_url takes no login and no query
            return f"{scheme}://127.0.0.1:{port}/{path}"
        login = f"{self.secret('user')}:%22{self.secret('password')}%2F"
        return f"{scheme}://{login}@127.0.0.1:{port}/{path}%20x?k={self.secret('query')}"

    def element(self) -> str:
        key = f'{self.failure}/+"{self.secret("key")}'
        options: dict[str, Any] = {"pretext": "shown", "deep": [{"auth": f'Bearer "{self.secret("option")}'}]}
        options["pin"] = self.secret("short")
        name = (
            "custom-missing"
            if self.failure == "missing"
            else "custom-leak"
            if self.service == "custom"
            else self.service
        )
        inner = f"<name>{name}</name><alert_format>json</alert_format><api_key>{escape(key)}</api_key>"
        inner += f"<hook_url>{escape(self.url())}</hook_url>"
        if self.service not in {"virustotal", "maltiverse"}:
            inner += f"<options>{escape(json.dumps(options))}</options>"
        return f'<integration id="{self.id}">{inner}</integration>\n'

    def table(self) -> str:
        lines = [f"[integrations.{self.id}]"]
        if self.service in {"pagerduty", "virustotal"}:
            lines.append(f"endpoint = {json.dumps(self.url())}")
        if self.failure == "proxy":
            lines.append(f'proxy = "http://u:{self.secret("proxy")}@127.0.0.1:{self.port}"')
        if self.service == "custom":
            lines.append(f'environment = {{ VARIABLE = "{self.secret("variable")}" }}')
        return "\n".join(lines)


class Monitor:
    """Records all commands that Redis receives, including task messages and Celery's events for Flower."""

    def __init__(self, client: redis.Redis) -> None:
        self._monitor = client.monitor()  # type: ignore[no-untyped-call]  # redis-py left it untyped
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._monitor.connection.disconnect()

    @property
    def heard(self) -> str:
        return "\n".join(self._lines)

    def _listen(self) -> None:
        with suppress(OSError, redis.RedisError, ValueError, AttributeError):
            while True:
                self._lines.append(_bytes(self._monitor.connection.read_response()).decode("latin-1"))


def dumped(client: redis.Redis) -> str:
    """Return all keys of the server with their values."""
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
    }
    return "\n".join(f"{key!r}: {read[_bytes(client.type(key))](key)!r}" for key in client.scan_iter())


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class Seen(NamedTuple):
    """The output of the run: texts by the name of their place, and the requests that the target received."""

    places: dict[str, str]
    sent: str


@pytest.fixture(scope="module")
def seen(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("leaks")
    with ExitStack() as stack:
        client = stack.enter_context(server.client())
        client.flushall()
        target = stack.enter_context(RepeatingTarget())
        environment = _installed(folder, server, [Block(one, target.port) for one in IDS])
        monitor = stack.enter_context(Monitor(client))
        ports = [free_port() for _ in range(3)]
        arguments = (
            ("producer", "--config", str(folder / "ossec.conf"), "--alerts", str(folder / "alerts.json")),
            ("worker", "--http"),
            ("worker", "--scripts"),
        )
        processes = []
        for number, port in enumerate(ports):
            own = {"COURIER_METRICS_PORT": str(port), "COURIER_LOG_FORMAT": "json" if number % 2 else "text"}
            (folder / f"{number}").mkdir()
            made = Courier(folder / f"{number}", *arguments[number], **environment, **own)
            processes.append(stack.enter_context(made))
        eventually(lambda: len(list(client.scan_iter("courier:*:cursor"))) == len(IDS))
        (folder / "alerts.json").write_text(f"{json.dumps(ALERT)}\n")
        ledger = Ledger(client)
        eventually(lambda: not [one for one in IDS if not any(True for _ in ledger.dead_letters(one))], limit_s=60)
        commands = [
            (f"cmdline {one.process.pid}", Path(f"/proc/{one.process.pid}/cmdline").read_text()) for one in processes
        ]
        metrics = [(f"metrics {port}", _get(f"http://127.0.0.1:{port}/metrics")) for port in ports]
        logs = [(f"log {number}, of the {words[0]}", processes[number].log) for number, words in enumerate(arguments)]
        places = dict([*commands, *metrics, *logs, ("Redis", dumped(client)), *_shown(environment)])
        yield Seen(places | {"sent to Redis": monitor.heard}, _latin(target.requests))


def _installed(folder: Path, server: EmbeddedServer, blocks: list[Block]) -> dict[str, str]:
    """Write all files. Return the environment of the processes."""
    (folder / "ossec.conf").write_text(f"<ossec_config>{''.join(block.element() for block in blocks)}</ossec_config>")
    (folder / "alerts.json").touch()
    (folder / "home/integrations").mkdir(parents=True)
    script = folder / "home/integrations/custom-leak"
    script.write_text(SCRIPT)
    script.chmod(0o750)
    everywhere = 'retry_max_attempts = 1\nrequest_timeout = "2s"\nscript_timeout = "5s"\nlookup_cache = false'
    tables = [f"[integrations.default]\n{everywhere}", *(block.table() for block in blocks)]
    (folder / "courier.toml").write_text("\n".join(tables))
    return {
        "COURIER_REDIS_URL": server.url,
        "COURIER_STATE_DIR": str(folder / "state"),
        "COURIER_SETTINGS": str(folder / "courier.toml"),
        "COURIER_LOG_LEVEL": "debug",
        "COURIER_WORKER_WAZUH_HOME": str(folder / "home"),
        "COURIER_WORKER_INTEGRATIONS_DIR": str(folder / "home/integrations"),
        "ftp_proxy": f"http://me:{letters('all', 'proxy')}@127.0.0.1:1",
        "X_TOKEN": letters("all", "environ"),
    }


def _shown(environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the output of the commands that show deliveries."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("COURIER_LOG_LEVEL", "error")
        for words in ("dead list", "dead show --integration slack-server", "dead export -", "status", "status --json"):
            result = CliRunner().invoke(courier, words.split())
            assert result.exit_code in {0, 1}, f"{words}: {result.output}"
            yield f"courier {words}", result.output


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def _latin(requests: list[bytes]) -> str:
    return b"\n".join(requests).decode("latin-1")


@pytest.mark.parametrize("integration_id", [*IDS, "all"])
def test_no_secret_is_visible_anywhere(seen: Seen, integration_id: str) -> None:
    wanted = [(role, needle) for role in ROLES for needle in needles(letters(integration_id, role))]
    found = [(place, role) for place, text in seen.places.items() for role, needle in wanted if needle in text]
    assert found == []


@pytest.mark.parametrize("integration_id", [one for one in HTTP_IDS if one.rpartition("-")[2] in ANSWERS])
def test_the_target_received_the_secrets(seen: Seen, integration_id: str) -> None:
    """Otherwise the test for leaks would prove nothing."""
    sent = [role for role in ROLES if any(needle in seen.sent for needle in needles(letters(integration_id, role)))]
    service, _, failure = integration_id.partition("-")
    wanted = {"path", *(["proxy"] if failure == "proxy" else [])}
    wanted |= {"key"} if service in {"pagerduty", "virustotal", "maltiverse"} else {"option", "short"}
    wanted |= set() if service == "maltiverse" else {"password", "query"}
    assert wanted <= set(sent)


def test_everything_but_the_secrets_is_shown(seen: Seen) -> None:
    export = [json.loads(line) for line in seen.places["courier dead export -"].splitlines() if line.startswith("{")]
    assert len(export) == len(IDS)
    reached = [line for line in export if line["integration"].rpartition("-")[2] in {*ANSWERS, "exits", "hangs"}]
    assert [line["integration"] for line in reached if MASK not in json.dumps(line)] == []
