"""What a delivery costs with 100 integrations, of which three or all get alerts, compared with a single integration.

Both systems run at the same time and get alerts in turns. The cost is the CPU of producer, workers and server from the
append to the last settlement, which includes the checks of all integrations once a second.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from ops.bench.alerts import alert
from ops.bench.report import Figure
from ops.bench.system import running, wait_until

if TYPE_CHECKING:
    from ops.bench.system import System

MANY: Final = 100
FEW: Final = 3
LARGEST_RATIO: Final = 1.2
BLOCK: Final = (
    "<integration><name>slack</name><hook_url>http://127.0.0.1:{{port}}/hook/{n}</hook_url>"
    "<group>g{n},</group><alert_format>json</alert_format></integration>"
)


def config(count: int) -> str:
    """Return an ossec.conf with `count` integrations, each with its own group and hook URL."""
    return f"<ossec_config>{''.join(BLOCK.format(n=n) for n in range(count))}</ossec_config>\n"


class Feed:
    """A running system, and the number of alerts written to its log."""

    def __init__(self, system: System) -> None:
        self._system, self._written = system, 0

    def cost(self, count: int, over: int) -> dict[str, float]:
        """Deliver alerts for the first `over` integrations in turn. Return the ms of CPU for each, by part."""
        first, self._written = self._written, self._written + count
        lines = [alert(n, f"g{n % over}") for n in range(first, self._written)]
        before = self._system.cpu()
        self._system.append(lines)
        wait_until(self._is_done, "not everything was delivered")
        return {part: 1000 * (spent - before[part]) / count for part, spent in self._system.cpu().items()}

    def _is_done(self) -> bool:
        arrived = self._system.target.counts()["requests"] >= self._written
        return arrived and not list(self._system.redis.scan_iter("courier:*:records", count=1000))


def measure(count: int, rounds: int, workers: int) -> list[Figure]:
    """Return the cost of a delivery in each case, and its ratio to that with a single integration."""
    with ExitStack() as stack:
        alone, among = (
            Feed(stack.enter_context(running(config=config(number), workers=workers))) for number in (1, MANY)
        )
        turns = {"1": (alone, 1), f"{FEW}_of_{MANY}": (among, FEW), f"{MANY}_of_{MANY}": (among, MANY)}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in turns}
        for number in range(rounds + 1):
            for name, (feed, over) in turns.items():
                costs = feed.cost(count, over)
                if number:  # the first round opens connections and starts threads
                    found[name].append(costs)
    sums = {name: [sum(costs.values()) for costs in rows] for name, rows in found.items()}
    figures = [Figure(f"cpu_ms_{name}", tuple(sums[name])) for name in turns]
    figures += [
        Figure(f"{part}_ms_{name}", tuple(costs[part] for costs in found[name]))
        for name in turns
        for part in found[name][0]
    ]
    ratios = {name: [a / b for a, b in zip(sums[name], sums["1"], strict=True)] for name in turns if name != "1"}
    return figures + [Figure(f"ratio_{name}", tuple(r), "less", LARGEST_RATIO) for name, r in ratios.items()]
