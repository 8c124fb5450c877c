"""`courier render`: what one integration would be sent for one alert, secrets masked; nothing is sent."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click
import msgspec

from common.alert import Alert
from common.errors import CourierError
from common.logs import LogLevel
from common.ossec_conf import read_ossec_conf
from ops.cli.options import pass_settings, setting
from ops.render import Renderer
from ops.tables import plain
from producer.filters import FilterIndex
from producer.line import BadLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration
    from common.settings import Settings
    from ops.render import Rendered, Sending

DELIVERY = "<delivery id>"
"""Stands in a message where the identity of a delivery will."""


@click.command()
@click.option("--integration", "wanted", metavar="ID", required=True, help="Which one; `courier check` lists the ids.")
@click.option(
    "--alert", "stream", type=click.File("rb"), required=True, help="File with one alert, or - to read it here."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@setting("producer.config", help="The manager's ossec.conf.")
@pass_settings
def command(settings: Settings, wanted: str, stream: IO[bytes], as_json: bool) -> None:
    """Show the exact request, or the arguments and files of a script, that an alert would lead to.

    It is shown whether the filters of the block let the alert pass or not, and that is told as well.
    """
    raw = one_alert(stream.read())
    integration = find(settings, wanted)
    debug = settings.log.level is LogLevel.DEBUG
    renderer = Renderer(integration, settings.policy(integration), settings.worker, debug=debug)
    rendered = msgspec.structs.replace(renderer.render(Alert(raw, DELIVERY)), trouble=renderer.trouble())
    verdict = passes(integration, raw)
    if as_json:
        click.echo(msgspec.json.encode({"filters": verdict, **msgspec.to_builtins(rendered)}).decode())
        return
    for line in report(rendered, verdict):
        click.echo(line)


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


def find(settings: Settings, wanted: str) -> Integration:
    """Return the integration of that id. Raises CourierError if ossec.conf has none that can be used."""
    configuration = read_ossec_conf(settings.producer.config)
    for integration in configuration.integrations:
        if integration.id == wanted:
            return integration
    ids = ", ".join(integration.id for integration in configuration.integrations) or "none"
    refused = "; some are refused, see `courier check`" if configuration.refused else ""
    raise CourierError(f"there is no integration {wanted!r} in {settings.producer.config}; there are: {ids}{refused}")


def passes(integration: Integration, raw: bytes) -> str:
    """Say what the block's filters make of the alert."""
    try:
        matched = FilterIndex([integration]).match(raw)
    except BadLine as bad:
        return f"no alert: the line would be passed over ({bad})"
    return "match: the alert would be delivered" if matched else "no match: the alert would not be delivered"


def report(rendered: Rendered, verdict: str) -> Iterator[str]:
    """Yield the lines for a person."""
    yield f"filters: {verdict}"
    if rendered.trouble:
        yield f"trouble: {plain(rendered.trouble)}"
    if rendered.outcome != "send":
        yield f"{rendered.outcome}: {rendered.reason}: {plain(rendered.detail)}"
    for call in rendered.calls:
        yield ""
        yield from _script(call) if call.argv else _request(call)


def _request(call: Sending) -> Iterator[str]:
    yield plain(f"{call.method} {call.url}")
    yield from (plain(f"{name}: {value}") for name, value in call.headers.items())
    if call.body:
        yield ""
        yield plain(call.body).replace("\\\\", "\\")


def _script(call: Sending) -> Iterator[str]:
    yield from (f"argv[{position}]: {plain(value)}" for position, value in enumerate(call.argv))
    for name, content in call.files.items():
        yield ""
        yield f"{name}:"
        yield from (f"  {plain(line)}".replace("\\\\", "\\") for line in content.split("\n"))
