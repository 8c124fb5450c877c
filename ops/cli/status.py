"""`courier status`: how every integration and every manager node is doing, right now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from common.node import reports
from ops.access import access
from ops.cli.options import pass_settings, setting
from ops.tables import age, plain, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.ledger import Status
    from common.node import NodeReport
    from common.settings import Settings

COLUMNS = ("Integration", "Waiting", "Released", "Dead", "Delivered", "Skipped", "Retried", "Oldest", "Last error")
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
    if as_json:
        click.echo(json.dumps(as_plain_data(statuses, nodes), indent=2))
        return
    print_table(COLUMNS, [_row(i, status, now_ms) for i, status in statuses.items()])
    if nodes:
        click.echo()
        print_table(NODE_COLUMNS, [_node_row(node, now_ms) for node in nodes])


def as_plain_data(statuses: Mapping[str, Status], nodes: list[NodeReport]) -> dict[str, Any]:
    """Return what `--json` prints; ages in seconds, times in ms since the epoch."""
    return {
        "integrations": {
            i: {
                "waiting": s.waiting,
                "released": s.released,
                "dead": s.dead,
                "oldest_age_s": s.oldest_age_s,
                "last_error": s.last_error,
                "last_error_ms": s.last_error_ms,
                "totals": s.totals,
                "cursors": s.cursors,
            }
            for i, s in statuses.items()
        },
        "nodes": {n.node: {"counters": n.counters, **n.texts} for n in nodes},
    }


def _row(integration_id: str, status: Status, now_ms: int) -> tuple[str, ...]:
    counts = (status.waiting, status.released, status.dead)
    totals = (status.totals.get(name, 0) for name in ("delivered", "skipped", "retried"))
    error = ""
    if status.last_error:
        error = f"{plain(status.last_error)} ({age((now_ms - status.last_error_ms) / 1000)} ago)"
    oldest = "" if status.oldest_age_s is None else age(status.oldest_age_s)
    return (integration_id, *map(str, (*counts, *totals)), oldest, error)


def _node_row(node: NodeReport, now_ms: int) -> tuple[str, ...]:
    bad = sum(count for name, count in node.counters.items() if name.startswith("bad:"))
    seen_ms = int(node.texts.get("seen_ms") or 0)
    seen = f"{age((now_ms - seen_ms) / 1000)} ago" if seen_ms else "never"
    trouble = "; ".join(filter(None, (node.texts.get(name, "") for name in ("choked", "config_trouble"))))
    counts = (str(node.counters.get("lines", 0)), str(node.counters.get("matched", 0)), str(bad))
    return (node.node, *counts, seen, node.texts.get("parked", ""), plain(trouble))
