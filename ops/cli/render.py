"""`courier render`: what one integration would be sent for one alert, secrets masked; nothing is sent."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from common.errors import CourierError
from common.logs import LogLevel
from common.printable import printable, printable_json
from ops.admin.filter_mismatch import mismatches
from ops.admin.names import in_configuration
from ops.admin.render import Renderer
from ops.cli.options import combined, example, integration_option, pass_settings, setting_option
from producer.filters.decode import InvalidAlert
from producer.ossec_conf import read_ossec_conf
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration
    from common.settings.load import Settings
    from ops.admin.render import Rendered, RenderedCall

DELIVERY_ID_PLACEHOLDER = "<delivery id>"
"""Stands in a message where the identity of a delivery will."""


MATCH: Final = "match"
NO_MATCH: Final = "no match"


@click.command(
    epilog=example(
        "courier render --integration slack --alert alert.json --expect match",
        "tail -n 1 alerts.json | courier render --integration slack --alert -",
    )
)
@integration_option
@click.option(
    "--alert", "stream", type=click.File("rb"), required=True, help="File with one alert, or - to read it here."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@click.option(
    "--expect",
    type=click.Choice([MATCH, NO_MATCH.replace(" ", "-")]),
    help="Exit with 1 unless the filters let the alert pass, or turn it down: for scripts.",
)
@setting_option("producer.config", help="The manager's ossec.conf.")
@pass_settings
def command(settings: Settings, words: tuple[str, ...], stream: IO[bytes], as_json: bool, expect: str | None) -> None:
    """Show the exact request, or the arguments and files of a script, that an alert would lead to.

    It is shown whether the filters of the block let the alert pass or not; which of them does not is said as well. A
    name means all blocks of that name.
    """
    wanted = combined((), words)
    raw = one_alert(stream.read())
    file = settings.producer.config
    surprises = list[str]()
    for number, integration in enumerate(in_configuration(read_ossec_conf(file), wanted, file=file)):
        verdict = passes(integration, raw)
        rendered = _rendered(settings, integration, raw)
        if as_json:
            told = msgspec.json.encode({"filters": verdict, **msgspec.to_builtins(rendered)}).decode()
            click.echo(printable_json(told))
        else:
            lines = ["", f"{integration.id}:"] if len(wanted) > 1 or number else []
            click.echo("\n".join(map(printable, [*lines, *report(rendered, verdict)])))
        if expect and expect.replace("-", " ") != verdict.partition(":")[0]:
            surprises.append(f"{integration.id}: {verdict}")
    if surprises:
        raise CourierError(f"expected {expect}: {'; '.join(surprises)}")


def _rendered(settings: Settings, integration: Integration, raw: bytes) -> Rendered:
    debug = settings.log.level is LogLevel.DEBUG
    renderer = Renderer(integration, settings.policy(integration), settings.worker, debug=debug)
    return msgspec.structs.replace(renderer.render(Alert(raw, DELIVERY_ID_PLACEHOLDER)), error=renderer.script_error())


def one_alert(content: bytes) -> bytes:
    """Return the alert, which may be laid out over several lines. Raises CourierError if there is none, or more."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    if not lines:
        raise CourierError("there is no alert in the input: give one line of alerts.json")
    if len(lines) > 1 and _is_alone(lines[0]):
        raise CourierError(f"there are {len(lines)} lines in the input: give one line of alerts.json")
    return lines[0] if len(lines) == 1 else content.strip()


def _is_alone(line: bytes) -> bool:
    try:
        return bool(Alert(line).fields)
    except ValueError:
        return False


def passes(integration: Integration, raw: bytes) -> str:
    """Say what the block's filters make of the alert, and which of them turn it down."""
    try:
        why = mismatches(integration, raw)
    except InvalidAlert as bad:
        return f"no alert: the line would be passed over ({bad})"
    if why:
        return f"{NO_MATCH}: the alert would not be delivered: {'; '.join(why)}"
    return f"{MATCH}: the alert would be delivered"


def report(rendered: Rendered, verdict: str) -> Iterator[str]:
    """Yield the lines for a person."""
    yield f"filters: {verdict}"
    if rendered.error:
        yield f"trouble: {rendered.error}"
    if rendered.outcome != "send":
        yield f"{rendered.outcome}: {rendered.reason}: {rendered.detail}"
    for call in rendered.calls:
        yield ""
        yield from _script(call) if call.argv else _request(call)


def _request(call: RenderedCall) -> Iterator[str]:
    yield f"{call.method} {call.url}"
    yield from (f"{name}: {value}" for name, value in call.headers.items())
    if call.body:
        yield ""
        yield call.body


def _script(call: RenderedCall) -> Iterator[str]:
    yield from (f"argv[{position}]: {value}" for position, value in enumerate(call.argv))
    for name, content in call.files.items():
        yield ""
        yield f"{name}:"
        yield from (f"  {line}" for line in content.split("\n"))
