"""`courier status`: how every integration and every manager node is doing, right now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from common.node import reports
from ops.access import access
from ops.cli.options import pass_settings, setting
from ops.holds import holds, last_error
from ops.tables import age, plain, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.ledger import Status
    from common.node import NodeReport
    from common.settings import Settings

COLUMNS = ("Integration", "Waiting", "Released", "Dead", "Delivered", "Skipped", "Retried", "Oldest")
HELD, LAST_ERROR = "Held back", "Last error"
NODE_COLUMNS = ("Node", "Lines", "Matched", "Bad", "Seen", "Parked", "Trouble")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@setting("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting("state.dir", help="State directory of `courier up`, where its server is found.")
@pass_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """Show per integration what waits, went through and failed, and how the producers are doing."""
    with access(settings) as (client, ledger, ids):
        statuses = {i: ledger.status(i) for i in ids}
        nodes, now_ms = reports(client), ledger.now_ms()
        trouble = ledger.disk_trouble()
    if as_json:
        click.echo(json.dumps(as_plain_data(statuses, nodes, trouble), indent=2))
        return
    if trouble:
        click.echo(f"{trouble}\n")
    print_statuses(statuses, now_ms)
    if nodes:
        click.echo()
        print_table(NODE_COLUMNS, [_node_row(node, now_ms) for node in nodes])


def print_statuses(statuses: Mapping[str, Status], now_ms: int) -> None:
    """Write the table; what holds back is a column of it only if something does."""
    rows = [_row(i, status) for i, status in statuses.items()]
    held = [holds(status, now_ms) for status in statuses.values()]
    errors = [last_error(status, now_ms) for status in statuses.values()]
    if any(held):
        full = zip(rows, held, errors, strict=True)
        print_table((*COLUMNS, HELD, LAST_ERROR), [(*row, hold, error) for row, hold, error in full])
    else:
        print_table((*COLUMNS, LAST_ERROR), [(*row, error) for row, error in zip(rows, errors, strict=True)])


def as_plain_data(statuses: Mapping[str, Status], nodes: list[NodeReport], trouble: str) -> dict[str, Any]:
    """Return what `--json` prints; ages in seconds, times in ms since the epoch.

    `limits` has for each rate limit how many deliveries it would let go now.
    """
    return {
        "integrations": {
            i: {
                "waiting": s.waiting,
                "released": s.released,
                "dead": s.dead,
                "oldest_age_s": s.oldest_age_s,
                "last_error": s.last_error,
                "last_error_ms": s.last_error_ms,
                "paused": {"since_ms": s.paused_ms, "reason": s.pause_reason} if s.paused_ms else None,
                "target_paused_until_ms": s.target_until_ms or None,
                "breaker": {"state": s.breaker, "until_ms": s.breaker_until_ms or None},
                "limits": s.limits,
                "totals": s.totals,
                "cursors": s.cursors,
            }
            for i, s in statuses.items()
        },
        "redis": {"trouble": trouble},
        "nodes": {n.node: {"counters": n.counters, **n.texts} for n in nodes},
    }


def _row(integration_id: str, status: Status) -> tuple[str, ...]:
    counts = (status.waiting, status.released, status.dead)
    totals = (status.totals.get(name, 0) for name in ("delivered", "skipped", "retried"))
    oldest = "" if status.oldest_age_s is None else age(status.oldest_age_s)
    return (integration_id, *map(str, (*counts, *totals)), oldest)


def _node_row(node: NodeReport, now_ms: int) -> tuple[str, ...]:
    bad = sum(count for name, count in node.counters.items() if name.startswith("bad:"))
    seen_ms = int(node.texts.get("seen_ms") or 0)
    seen = f"{age((now_ms - seen_ms) / 1000)} ago" if seen_ms else "never"
    trouble = "; ".join(filter(None, (node.texts.get(name, "") for name in ("choked", "config_trouble"))))
    counts = (str(node.counters.get("lines", 0)), str(node.counters.get("matched", 0)), str(bad))
    return (node.node, *counts, seen, node.texts.get("parked", ""), plain(trouble))
