"""`courier explain`: what became of an alert, for each integration, or why it did not match."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from common.errors import CourierError, LedgerMisconfigured, LedgerUnavailable
from common.printable import printable_json
from common.registry.entries import CatalogueEntry
from ops.admin import names
from ops.admin.explain import Explainer, Missing
from ops.admin.explain.ledger import LedgerState
from ops.admin.explain.show import brief_text, full_text
from ops.admin.one_alert import one_alert
from ops.admin.session import open_session
from ops.admin.terminal import plain
from ops.cli.options import example, integration_option, pass_settings, server_options, setting_option
from producer.alertlog import AlertLog
from producer.configuration import read_configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from common.settings.load import Settings
    from ops.admin.explain import AlertReport
    from ops.admin.explain.subject import Subject
    from producer.ossec_conf import Configuration

MAX_LAST: Final = 100


@click.command(
    epilog=example(
        "courier explain 1764000000.123",
        "courier explain 1764000000.123 --integration slack --json",
        "courier explain --last 5",
        "tail -n 1 alerts.json | courier explain --alert -",
    )
)
@click.argument("wanted", metavar="[ALERT|DELIVERY]", required=False)
@click.option("--alert", "stream", type=click.File("rb"), help="File with one alert; - reads standard input.")
@click.option("--last", type=click.IntRange(1, MAX_LAST), metavar="N", help="Explain the last N alerts of the log.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per alert, for scripts.")
@integration_option
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json. Archived files are found relative to it.")
@setting_option("producer.node", help="Name of this manager.")
@server_options
@pass_settings
def command(
    settings: Settings,
    wanted: str | None,
    stream: IO[bytes] | None,
    last: int | None,
    words: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Show what became of an alert, for each integration.

    Give the id of an alert (such as 1764000000.123) or of a delivery. For each integration, the output shows what every
    filter and condition saw, and what became of the delivery: waiting and why, in flight, dead, delivered, or not read
    yet. It runs beside the manager's files, like the producer. If Redis does not answer, it explains only the filters.

    Exits with 1 if the alert is not found.
    """
    if (wanted is not None) + (stream is not None) + (last is not None) != 1:
        raise click.UsageError("give either an alert id, a delivery id, --alert FILE or --last N.")
    configuration = read_configuration(settings)
    with ExitStack() as stack:
        source = stack.enter_context(closing(AlertLog.of(settings.producer)))
        state, redis_error = _connect(stack, settings, configuration)
        chosen = _chosen(configuration, state, words)
        explainer = Explainer(settings, configuration, source, state, redis_error=redis_error)
        reports = [explainer.explain(one, chosen) for one in _subjects(explainer, settings, wanted, stream, last)]
    _print(reports, as_json=as_json)


def _connect(stack: ExitStack, settings: Settings, configuration: Configuration) -> tuple[LedgerState | None, str]:
    """Return what Redis knows whatever the alert is, or why it does not answer."""
    ids = [one.id for one in configuration.integrations]
    try:
        session = stack.enter_context(open_session(settings))
        return LedgerState(session, ids, settings.producer.node), ""
    except (LedgerUnavailable, LedgerMisconfigured) as error:
        return None, str(error)


def _chosen(configuration: Configuration, state: LedgerState | None, words: Sequence[str]) -> tuple[str, ...]:
    """Return the ids that `words` select, of the configuration and of the ledger. Raises CourierError."""
    here = {one.id: CatalogueEntry(one.name, ("here",)) for one in configuration.integrations}
    return names.matching({**(state.listed if state else {}), **here}, words)


def _subjects(
    explainer: Explainer, settings: Settings, wanted: str | None, stream: IO[bytes] | None, last: int | None
) -> Iterable[Subject]:
    """Return the alerts to explain. Raises CourierError if there is none."""
    if stream is not None:
        return [explainer.given(one_alert(stream.read()), getattr(stream, "name", "the input"))]
    if last is not None:
        if not (found := explainer.last(last)):
            raise CourierError(f"{settings.producer.alerts} and its dated files have no line")
        return found
    subjects = explainer.find(wanted or "")
    if isinstance(subjects, Missing):
        raise CourierError(f"{wanted} was not found: {subjects.where}")
    return subjects


def _print(reports: Sequence[AlertReport], *, as_json: bool) -> None:
    for number, report in enumerate(reports):
        if as_json:
            click.echo(printable_json(msgspec.json.encode(report).decode()))
            continue
        lines = full_text(report) if len(reports) == 1 else brief_text(report)
        click.echo("\n".join([*([""] if number else []), *map(plain, lines)]))
