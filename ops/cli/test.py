"""`courier test`: send one marked alert to the real target of an integration, and show what became of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from random import Random
from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from common.delivery_test import MAX_WAIT_S, new_test_id
from common.errors import CourierError
from common.integration import MANAGER_ID
from common.printable import printable, printable_json
from ops.admin.delivery_test.alert import LEVEL, marked_alert, sample_alert
from ops.admin.delivery_test.direct import run_direct
from ops.admin.delivery_test.queued import QueuedTests
from ops.admin.delivery_test.result import Outcome
from ops.admin.names import in_configuration
from ops.admin.one_alert import one_alert
from ops.admin.session import open_session
from ops.cli.options import (
    Duration,
    combined,
    example,
    integration_arguments,
    pass_settings,
    resolve,
    server_options,
    setting_option,
)
from ops.cli.render import request_lines
from producer.configuration import read_configuration
from producer.filters.decode import InvalidAlert, decode_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.settings.load import Settings
    from ops.admin.delivery_test.result import DeliveryTestResult, Steps

MAX_LEVEL: Final = 16
"""The highest level of a rule (Wazuh documentation, "Rules classification": 0 to 15; 16 is accepted)."""


@click.command(
    epilog=example(
        "courier test slack",
        "courier test slack --alert alert.json --timeout 2m",
        "courier test --all",
        "courier test slack --direct",
    )
)
@click.option("--all", "every", is_flag=True, help="Test every integration, all at once.")
@click.option("--alert", "stream", type=click.File("rb"), help="File with the alert to send; - reads standard input.")
@click.option("--level", type=click.IntRange(0, MAX_LEVEL), help=f"Level of the built-in alert.  [default: {LEVEL}]")
@click.option(
    "--timeout",
    "timeout_s",
    default="30s",
    show_default=True,
    metavar="DURATION",
    type=Duration(1, MAX_WAIT_S),
    help=f"How long to wait, at most {MAX_WAIT_S / 60:g}m.",
)
@click.option("--direct", is_flag=True, help="Send from this process, without Redis and without a worker.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per integration and line.")
@integration_arguments
@setting_option("producer.config", help="The manager's ossec.conf, for --direct.")
@setting_option("producer.node", help="Name of this manager, in the alert.")
@server_options
@pass_settings
def command(
    settings: Settings,
    ids: tuple[str, ...],
    words: tuple[str, ...],
    *,
    stream: IO[bytes] | None,
    level: int | None,
    timeout_s: float,
    every: bool,
    direct: bool,
    as_json: bool,
    removed: bool,
) -> None:
    """Send one test alert to the target of an integration, and show what it responds.

    The alert is marked as a test, bypasses the filters and takes the path of every other one: ledger, queue and
    worker. It is sent once: a failure is neither retried nor counted against the target. The exit status is 0 only if
    all were delivered. Secrets are masked.
    """
    if every and (ids or words):
        raise click.UsageError("--all tests every integration; omit the ids")
    if stream and level is not None:
        raise click.UsageError("--level is for the built-in alert; the file of --alert has its own level")
    wanted = [] if every else combined(ids, words)
    alert = (
        _marked(stream)
        if stream
        else sample_alert(datetime.now(UTC), node=settings.producer.node, level=LEVEL if level is None else level)
    )
    random = Random(os.urandom(16))  # noqa: S311 — makes ids unique, keeps no secret
    if direct:
        results: Iterable[DeliveryTestResult] = _direct(settings, wanted, alert, timeout_s, random)
        failed = _show(results, as_json=as_json, brief=every or len(wanted) > 1)
    else:
        with open_session(settings) as session:
            tested = (
                tuple(one for one in session.ids if one != MANAGER_ID and not session.listed[one].removed)
                if every
                else resolve(session, wanted, removed=removed)
            )
            tests = QueuedTests(session, timeout_s=timeout_s, random=random, on_wait=_Waiting())
            failed = _show(tests.run(tested, alert), as_json=as_json, brief=every or len(tested) > 1)
            if not tested:
                raise CourierError("there is no integration to test; is the producer running? See `courier status`")
    if failed:
        raise CourierError(f"not delivered: {', '.join(failed)}")


def _marked(stream: IO[bytes]) -> bytes:
    """Return the alert of a file, marked as a test. Raises CourierError for what the producer would reject."""
    raw = one_alert(stream.read())
    try:
        decode_line(raw)
    except InvalidAlert as bad:
        file = getattr(stream, "name", "the input")
        raise CourierError(f"{file} is not an alert ({bad}); nothing was sent") from None
    return marked_alert(raw)


def _direct(
    settings: Settings, wanted: list[str], alert: bytes, timeout_s: float, random: Random
) -> list[DeliveryTestResult]:
    chosen = in_configuration(read_configuration(settings), wanted, file=settings.producer.config)
    if not chosen:
        raise CourierError(f"there is no integration to test in {settings.producer.config}")
    alerts = [(new_test_id(random), alert) for _ in chosen]
    return run_direct(settings, chosen, alerts, timeout_s=timeout_s, random=random)


class _Waiting:
    """Prints why a test waits, to standard error, whenever that changes by more than its numbers."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def __call__(self, integration_id: str, why: str) -> None:
        kind = "".join(c for c in why if not c.isdigit())
        if self._shown.get(integration_id) != kind:
            self._shown[integration_id] = kind
            click.echo(printable(f"{integration_id}: not sent yet: {why}"), err=True)


def _show(results: Iterable[DeliveryTestResult], *, as_json: bool, brief: bool) -> list[str]:
    """Print each result as it comes; return the ids of those that were not delivered."""
    failed = []
    for result in results:
        if as_json:
            click.echo(printable_json(msgspec.json.encode(result).decode()))
        else:
            click.echo("\n".join(printable(line) for line in ([summary(result)] if brief else report(result))))
        if result.outcome is not Outcome.DELIVERED:
            failed.append(result.integration)
    return sorted(failed)


def summary(result: DeliveryTestResult) -> str:
    """Return the result as one line."""
    parts = [result.outcome.value.replace("_", " ")]
    if result.status is not None:
        parts.append(f"status {result.status}")
    if result.duration_ms is not None:
        parts.append(_seconds(result.duration_ms))
    why = ": ".join(filter(None, (result.reason, result.detail))) or result.why
    return f"{result.integration}: {', '.join(parts)}" + (f": {why}" if why else "")


def report(result: DeliveryTestResult) -> Iterator[str]:
    """Yield the lines of the text output for one integration."""
    yield summary(result)
    yield f"delivery: {result.delivery}" + (f", sent by {result.worker}" if result.worker else "")
    if steps := ", ".join(_steps(result.steps)):
        yield f"steps: {steps}"
    for call in result.calls:
        yield ""
        yield from (line for part in request_lines(call.request) for line in part.split("\n"))
        yield ""
        status = "accepted, there is no response" if call.status is None else f"status {call.status}"
        yield f"response: {call.error or status} after {_seconds(call.duration_ms)}"
        yield from (f"  {line}" for line in call.response.split("\n") if call.response)
        if call.is_cut:
            yield "  …"


def _steps(steps: Steps) -> Iterator[str]:
    for name, at_ms in msgspec.structs.asdict(steps).items():
        if at_ms is not None:
            yield f"{name.removesuffix('_ms')} {_seconds(at_ms)}"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f} s"
