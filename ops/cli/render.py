"""`courier render`: show what Courier would send for one alert, with secrets masked; send nothing."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from common.errors import CourierError
from common.logs import LogLevel
from common.printable import printable, printable_json
from common.services.sections import digest_of
from ops.admin.filter_mismatch import mismatches
from ops.admin.names import in_configuration
from ops.admin.one_alert import one_alert
from ops.admin.render import Renderer
from ops.admin.sample_digest import COUNT, sample_digest
from ops.cli.options import combined, example, integration_option, pass_settings, setting_option
from producer.configuration import policy_of, read_configuration
from producer.filters.decode import InvalidAlert
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration
    from common.settings.load import Settings
    from ops.admin.render import Rendered
    from producer.ossec_conf import Configuration
    from workers.rendering import RenderedCall

DELIVERY_ID_PLACEHOLDER = "<delivery id>"
"""Shown in a message in place of the delivery id, which exists only for a queued delivery."""


MATCH: Final = "match"
NO_MATCH: Final = "no match"


@click.command(
    epilog=example(
        "courier render --integration slack --alert alert.json --expect match",
        "tail -n 1 alerts.json | courier render --integration slack --alert -",
        "courier render --integration slack --alert alert.json --digest",
    )
)
@integration_option
@click.option(
    "--alert", "stream", type=click.File("rb"), required=True, help="File with one alert; - reads standard input."
)
@click.option("--digest", "is_digest", is_flag=True, help=f"Show a digest of {COUNT} alerts like this one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--expect",
    type=click.Choice([MATCH, NO_MATCH.replace(" ", "-")]),
    help="Exit with 1 if the filters decide otherwise, for scripts.",
)
@setting_option("producer.config", help="The manager's ossec.conf.")
@pass_settings
def command(
    settings: Settings,
    /,
    words: tuple[str, ...],
    stream: IO[bytes],
    *,
    is_digest: bool,
    as_json: bool,
    expect: str | None,
) -> None:
    """Show what Courier would send for an alert: the request, or the arguments and files of a script.

    The output also names each filter that does not match the alert. The request is shown even if a filter does not
    match. Secrets are masked and nothing is sent. With --digest, the output is that of a digest, and the filters
    are still those of the alert.
    """
    wanted = combined((), words)
    raw = one_alert(stream.read())
    file = settings.producer.config
    unexpected = list[str]()
    configuration = read_configuration(settings)
    for number, integration in enumerate(in_configuration(configuration, wanted, file=file)):
        alert = sample_digest(raw, digest_of(integration)) if is_digest else Alert(raw, DELIVERY_ID_PLACEHOLDER)
        verdict = passes(integration, raw, configuration)
        rendered = _rendered(settings, integration, alert, configuration)
        if as_json:
            document = msgspec.json.encode({"filters": verdict, **msgspec.to_builtins(rendered)}).decode()
            click.echo(printable_json(document))
        else:
            lines = ["", f"{integration.id}:"] if len(wanted) > 1 or number else []
            click.echo("\n".join(map(printable, [*lines, *report(rendered, verdict)])))
        if expect and expect.replace("-", " ") != verdict.partition(":")[0]:
            unexpected.append(f"{integration.id}: {verdict}")
    if unexpected:
        raise CourierError(f"expected {expect}: {'; '.join(unexpected)}")


def _rendered(settings: Settings, integration: Integration, alert: Alert, configuration: Configuration) -> Rendered:
    debug = settings.log.level is LogLevel.DEBUG
    policy = policy_of(integration, settings, configuration)
    renderer = Renderer(integration, policy, settings.worker, debug=debug)
    return msgspec.structs.replace(renderer.render(alert), error=renderer.script_error())


def passes(integration: Integration, raw: bytes, configuration: Configuration) -> str:
    """Return whether the filters and conditions let the alert pass, and which of them do not, as text."""
    try:
        why = mismatches(integration, raw, configuration.conditions, configuration.agents)
    except InvalidAlert as bad:
        return f"not an alert: the line would be rejected ({bad})"
    if why:
        return f"{NO_MATCH}: the alert would not be delivered: {'; '.join(why)}"
    return f"{MATCH}: the alert would be delivered"


def report(rendered: Rendered, verdict: str) -> Iterator[str]:
    """Yield the lines of the text output."""
    yield f"filters: {verdict}"
    if rendered.error:
        yield f"error: {rendered.error}"
    if rendered.outcome != "send":
        yield f"{rendered.outcome}: {rendered.reason}: {rendered.detail}"
    for call in rendered.calls:
        yield ""
        yield from request_lines(call)


def request_lines(call: RenderedCall) -> Iterator[str]:
    """Yield the lines of one call."""
    yield from _script(call) if call.argv else _request(call)


def _request(call: RenderedCall) -> Iterator[str]:
    yield f"{call.method} {call.url}"
    yield from (f"{name}: {value}" for name, value in call.headers.items())
    if call.body:
        yield ""
        yield from call.body.split("\n")


def _script(call: RenderedCall) -> Iterator[str]:
    yield from (f"argv[{position}]: {value}" for position, value in enumerate(call.argv))
    for name, content in call.files.items():
        yield ""
        yield f"{name}:"
        yield from (f"  {line}" for line in content.split("\n"))
