"""The functions to fuzz, one for each input from outside. Each takes any bytes and raises only declared errors.

A door suppresses the declared errors itself, so whatever it raises is a finding. Two promises are checked beside that:
what the filters accept every service can read, and no input of a few kilobytes costs more than `MAX_CPU_S`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final
from unicodedata import category

from common.broker import task_message
from common.conditions import compile_condition, explain_condition, parse_condition, parse_named_conditions
from common.errors import ConditionError, ConfigError, SettingsError, UnreadableRecord
from common.integration import Integration
from common.ledger import DeadLetter, Delivery, Header, HistoryEntry, Settlement, SettleOutcome
from common.ledger.history import read_entry
from common.ledger.open_groups import decode_group
from common.ledger.record import decode_record, encode_record
from common.printable import printable
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.secret import Secret
from common.settings.load import load_settings
from ops.admin.dead_letter_file import read_line, write_line
from ops.admin.dead_letters import FoundLetter
from ops.admin.history import as_alert, describe, matcher
from ops.monitoring.flower import event_gate
from producer.agents_file import parse_agents
from producer.broken_lines import alert_spans
from producer.filters.decode import InvalidAlert, decode_line
from producer.filters.index import FilterIndex
from producer.filters.integration_filter import IntegrationFilter
from producer.filters.sregex import compile_sregex
from producer.ossec_conf import parse_ossec_conf
from tests.fuzz.service_doors import SERVICE_DOORS
from workers.alert.alert import Alert
from workers.calls import Response
from workers.celery_worker import remote_control
from workers.delivery.history_facts import facts_of
from workers.integrations.base import NotSendable
from workers.integrations.helpers.event_signer import EventSigner
from workers.integrations.helpers.http_status import retry_after_s
from workers.integrations.manager import Manager
from workers.integrations.registry import make_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_CPU_S: Final = 0.1

ALERT: Final = Alert(
    b'{"timestamp":"2026-11-30T00:00:00.000+0000","rule":{"level":7,"description":"d","id":"550","groups":["syscheck"]},'
    b'"agent":{"id":"001","name":"a"},"manager":{"name":"m"},"id":"1.2","syscheck":{"path":"/etc/passwd",'
    b'"md5_after":"d41d8cd98f00b204e9800998ecf8427e"},"data":{"srcip":"203.0.113.7","url":"http://a.example/x"},'
    b'"location":"syscheck"}',
    "delivery",
)
KEY: Final = Secret("0123456789abcdef0123456789abcdef")
HOOK: Final = Secret("https://hook.example/services/0123456789abcdef")
NAMES: Final = ("slack", "pagerduty", "shuffle", "virustotal", "maltiverse", "splunk-hec", "custom-fuzzed")
BLOCKS: Final = tuple(
    Integration(id=name, name=name, api_key=KEY, hook_url=HOOK, level=3, group="syscheck,", rule_ids=(550,))
    for name in NAMES
)
SERVICES: Final = tuple(make_service(block, now=lambda: 1.8e9) for block in BLOCKS)
FILTERS: Final = tuple(map(IntegrationFilter, BLOCKS))
CONDITIONED: Final = FilterIndex(
    [
        Integration(id="a", name="custom-a", only=("rule.level > 3 and not rule.id = 5*",)),
        Integration(id="b", name="custom-b", except_=("agent.name = web* and data.win.x ~ a+b", "location")),
    ]
)
NAMED: Final = parse_named_conditions({"noisy": ["rule.id = 550, 551", "agent.name = build-*"]})
HISTORY_CONDITION: Final = matcher("rule.level > 3 and agent.name = web* and reason")
STATUSES: Final = (200, 204, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503)
VAULT: Final = Cipher(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
MANAGER: Final = Manager(EventSigner(VAULT))
_FOLDER: Final = Path(mkdtemp(prefix="courier-fuzz-"))


def ossec_conf(data: bytes) -> None:
    """Read it, and prepare the filters of every block that it has."""
    with suppress(ConfigError):
        for integration in parse_ossec_conf(data, file="ossec.conf").integrations:
            with suppress(ValueError):
                IntegrationFilter(integration)
            make_service(integration)


def sregex(data: bytes) -> None:
    """Match the text behind the first line end with the pattern before it."""
    pattern, _, text = data.partition(b"\n")
    with suppress(ValueError):
        compile_sregex(pattern)(text)


def alert_line(data: bytes) -> None:
    """Filter a line of the alert log, then build the message of every service."""
    alert_spans(data)
    try:
        line = decode_line(data)
    except InvalidAlert:
        return
    for block in FILTERS:
        block.passes_rule(line.rule)
        block.passes_location(line.location)
    CONDITIONED.evaluate(data)
    alert = Alert(data, "delivery")
    assert isinstance(alert.fields, dict), "the filters accept it, and the services cannot read it"
    for service in SERVICES:
        with suppress(NotSendable):
            service.build_calls(alert)


def history_entry(data: bytes) -> None:
    """Read an entry of the history with these facts, and show it; take facts from an alert."""
    fields = {b"id": b"d", b"outcome": b"dead", b"reason": data[:9], b"facts": data}
    entry = read_entry("slack", b"1-0", fields)
    if isinstance(entry, HistoryEntry):
        describe(entry)
        HISTORY_CONDITION(as_alert(entry))
    settlement = Settlement(id="d", outcome=SettleOutcome.DELIVERED)
    facts = facts_of(Delivery("d", Header(committed_ms=1), data), settlement, worker="w", attempt_ms=1)
    assert isinstance(read_entry("slack", b"1-0", fields | {b"reason": b"", b"facts": facts}), HistoryEntry)


def open_group(data: bytes) -> None:
    """Read the state of an open group of alerts."""
    with suppress(ValueError):
        group = decode_group(data[:9], 1.8e12, data)
        assert group.number >= 0


def conditions(data: bytes) -> None:
    """Read the first line as a condition, and evaluate it for the alert behind it."""
    text, _, line = data.decode("utf-8", "surrogateescape").partition("\n")
    try:
        condition = parse_condition(text, names=NAMED)
    except ConditionError:
        return
    assert parse_condition(str(condition), names=NAMED) == condition, "what is printed does not read back"
    alert = ALERT.fields
    with suppress(ValueError):
        alert = Alert(line.encode("utf-8", "surrogateescape")).fields
    assert explain_condition(condition, alert).holds == compile_condition(condition)(alert)


def options(data: bytes) -> None:
    """Build messages with these options."""
    text = data.decode("utf-8", "replace")
    for block in BLOCKS:
        changed = Integration(id=block.id, name=block.name, api_key=KEY, hook_url=HOOK, options=Secret(text))
        with suppress(NotSendable):
            make_service(changed, now=lambda: 1.8e9).build_calls(ALERT)


def courier_toml(data: bytes) -> None:
    """Load it as an operator's file."""
    file = _FOLDER / "courier.toml"
    file.write_bytes(data)
    with suppress(SettingsError):
        load_settings(file=file, environment={}, cwd=_FOLDER)


def queue_message(data: bytes) -> None:
    """Decode it as a task and as a remote-control request. An accepted one is unchanged after encoding."""
    if task := task_message.decode(data):
        assert task_message.decode(task_message.encode(task)) == task
    if command := remote_control.decode(data):
        remote_control.encode(command)


def record(data: bytes) -> None:
    """Decode a delivery. An accepted one can be written and exported."""
    with suppress(UnreadableRecord):
        delivery = decode_record("id", data)
        assert decode_record("id", encode_record(delivery)) == delivery
        write_line(FoundLetter("slack", DeadLetter(delivery, 1)))


class _Published:
    """A Redis in which the registry holds one entry."""

    def __init__(self, sealed: bytes) -> None:
        self._sealed = sealed

    def hgetall(self, _key: str) -> dict[bytes, bytes]:
        return {b"version": b"1", b"slack": self._sealed}


def registry_entry(data: bytes) -> None:
    """Load the bytes as an entry, unencrypted and encrypted with the secret key."""
    for sealed in (data, VAULT.encrypt(data)):
        with suppress(SettingsError):
            client: Any = _Published(sealed)
            PublishedRegistry(client, VAULT).load()


def manager_event(data: bytes) -> None:
    """Build the datagram of a record of `manager`: without the key there is none."""
    with suppress(NotSendable):
        assert not MANAGER.build_calls(Alert(data, "delivery")), "an event without a signature is sent"


def flower_event(data: bytes) -> None:
    """Let Flower receive it as an event of a worker."""
    event_gate.decode(data)


def printable_text(data: bytes) -> None:
    """Show it at a terminal."""
    shown = printable(data.decode("utf-8", "surrogateescape"))
    assert all(one.isprintable() or category(one) == "Zs" for one in shown)


def letter(data: bytes) -> None:
    """Import a line of an exported file."""
    with suppress(ValueError):
        write_line(read_line(data))


def http_answer(data: bytes) -> None:
    """Let every service interpret a response."""
    status, headers, body = STATUSES[data[0] % len(STATUSES)] if data else 200, data[1:21], data[21:]
    answer = Response(status=status, headers={"retry-after": headers.decode("latin-1")}, body=body)
    for service in SERVICES[:-1]:
        try:
            calls = service.build_calls(ALERT)
        except NotSendable:
            continue
        for call in calls[:1]:
            service.interpret(ALERT, call, answer)


def retry_after(data: bytes) -> None:
    """Read the header; the result is a finite number of seconds."""
    seconds = retry_after_s(Response(status=429, headers={"retry-after": data.decode("latin-1")}), 1.8e9)
    assert seconds is None or 0 <= seconds <= 86_400


def agents(data: bytes) -> None:
    """Read a file of agents."""
    with suppress(ConfigError):
        parse_agents(data, "agents")


DOORS: Final[Mapping[str, Callable[[bytes], None]]] = {
    door.__name__: door
    for door in (
        *(ossec_conf, sregex, alert_line, conditions, options, courier_toml),
        *(queue_message, record, history_entry, registry_entry, manager_event, letter, http_answer, retry_after),
        *(flower_event, printable_text, agents, open_group, *SERVICE_DOORS),
    )
}
