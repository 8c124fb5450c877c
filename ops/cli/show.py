"""`courier show`: everything about one integration, as on its page of the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from common.printable import printable, printable_json
from common.timestamps import time_text
from ops.admin.integration_detail import read_detail
from ops.admin.session import open_session
from ops.admin.terminal import age, pluralize
from ops.cli.config import toml
from ops.cli.options import example, pass_settings, server_options
from ops.cli.render import request_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.settings.load import Settings
    from ops.admin.integration_detail import IntegrationDetail, Published


@click.command(epilog=example("courier show slack", "courier show slack --json"))
@click.argument("word", metavar="ID|NAME")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")
@server_options
@pass_settings
def command(settings: Settings, word: str, *, as_json: bool) -> None:
    """Show which alerts an integration gets, its settings, a message, latencies and the noisiest rules.

    Filters, settings and the message are those that workers use. To read them this needs the secret key of the
    producer. Secrets are masked and nothing is sent.
    """
    with open_session(settings) as session:
        detail = read_detail(session, settings, session.one(word))
    if as_json:
        click.echo(printable_json(msgspec.json.format(msgspec.json.encode(detail), indent=2).decode()))
    else:
        click.echo("\n".join(map(printable, report(detail))))


def report(detail: IntegrationDetail) -> Iterator[str]:
    """Yield the lines of the text output."""
    status = detail.status
    waiting = f"{status.waiting:,} waiting, {status.released:,} in flight, {pluralize(status.dead, 'dead letter')}"
    yield f"{detail.id}: {waiting}"
    if status.held_back:
        yield f"held back: {status.held_back}"
    if detail.published:
        yield from _published(detail.published)
    else:
        yield f"alerts and settings: not known here: {detail.unpublished}"
    if detail.latency:
        p50, p99 = status.history.latency_p50_s, status.history.latency_p99_s
        yield f"latency: p50 {age(p50 or 0)}, p99 {age(p99 or 0)} since {time_text(detail.latency[0].from_ms)}"
    for rule in detail.rules:
        yield f"rule {rule['id']}: {rule['count']:,} of {detail.entries:,} that ended: {rule['name']}"
    for group in detail.groups:
        values = ", ".join(f"{name} = {value}" for name, value in group.values.items())
        what = "all other groups" if group.others else values or "any values"
        yield f"open group: {what}: {pluralize(group.number, 'alert')}, digest at {time_text(group.ends_ms)}"


def _published(published: Published) -> Iterator[str]:
    yield f"service: {published.service}"
    yield f"gets: {published.alerts}"
    for name, value in published.policy.items():
        yield f"{name} = {toml(value)}"
    preview = published.preview
    about = f" {preview.alert_id}" if preview.alert_id else ""
    yield f"message for an alert ({preview.source}{about}):"
    if preview.problem:
        yield f"  {preview.problem}"
    if preview.rendered:
        if preview.rendered.outcome != "send":
            yield f"  {preview.rendered.outcome}: {preview.rendered.reason}: {preview.rendered.detail}"
        for call in preview.rendered.calls:
            yield from (f"  {line}" for part in request_lines(call) for line in part.split("\n"))
