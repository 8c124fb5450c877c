"""What a delivery costs by service, compared with Slack; and what an operator's template costs.

    python -m ops.bench.services [--alerts 2000] [--rounds 7]

One system with an integration for each service, one worker and a target that responds at once. The services get their
alerts in turns, so each round has a ratio to Slack of its own. `…_delivery_ratio` compares the CPU of producer and
worker for a whole delivery in a backlog, `…_build_ratio` that of the service alone, which reads the alert, builds the
call and interprets the response, on alerts of `ops.bench.corpus`. An email needs a mail server, so it has only the
second one. The target waits for no disk and no network, so a ratio in production is closer to 1.

`slack_template` and `webhook_template` have a template of the operator's; all others send their default message.
`template_us` is the median of what it takes to render such a message: title, text, three fields and link, each a
template of its own that is compiled once. `template_default_us` is the same for the default message.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from common.settings.load import load_settings
from ops.bench.alerts import alerts
from ops.bench.corpus import corpus
from ops.bench.report import Figure, report
from ops.bench.system import running, wait_until
from producer.configuration import read_configuration
from workers.alert.alert import Alert
from workers.calls import MailReply, Response
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service
from workers.integrations.slack import MESSAGE_LIMITS
from workers.message.markup import SLACK_MESSAGE
from workers.message.renderer import MessageRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.integration import Integration
    from ops.bench.system import System
    from workers.integrations.base import Service

GOALS: Final = {"webhook_delivery_ratio": 1.15, "template_us": 100.0}
"""`webhook` sends the alert as it is, which is its default. The other formats and services build more than Slack's
attachment of four fields: `alertmanager`, `ocsf` and `teams` contain the default message."""

REFERENCE: Final = "slack"
DASHBOARD: Final = "https://wazuh.example.org"
CORPUS_ALERTS: Final = 20_000

CONFIG: Final = """<ossec_config><integration><name>slack</name><hook_url>http://127.0.0.1:{port}/slack</hook_url>
<group>slack</group><alert_format>json</alert_format></integration></ossec_config>
"""

MESSAGE: Final = r'''
title = "{{ rule.description | truncate(150) }} on {{ agent.name | default(manager.name) }}"
link = "https://soc.example.org/alerts/{{ id | urlencode }}"
text = """
*Level {{ rule.level }}*{% if rule.level >= 12 %} {{ "<!here>" | raw }}{% endif %}, rule {{ rule.id }}
{% if data.srcip %}From {{ data.srcip }}{% if data.srcuser %} as {{ data.srcuser }}{% endif %}{% endif %}

{% for group in rule.groups %}{{ group }}{% if not loop.last %}, {% endif %}{% endfor %}

{{ full_log | default("") | truncate(500) | code }}
"""
fields.Rule = "{{ rule.id }} (level {{ rule.level }})"
fields.Agent = "{{ agent.name }} ({{ agent.id }})"
fields.Location = "{{ location }}"
'''
"""What an operator writes: every kind of expression that the documentation shows."""

BODY: Final = r'''
body = """
{"title": "{{ rule.description }}", "severity": {{ rule.level | tojson }}, "host": "{{ agent.name }}",
 "groups": {{ rule.groups | tojson }}, "source": "{{ data.srcip }}", "log": "{{ full_log | truncate(500) }}"}
"""
'''

SECTIONS: Final = {
    "webhook": ("webhook", ""),
    "cloudevents": ("webhook", 'webhook = { format = "cloudevents" }'),
    "alertmanager": ("webhook", 'webhook = { format = "alertmanager" }'),
    "ocsf": ("webhook", 'webhook = { format = "ocsf" }'),
    "teams": ("teams", ""),
    "slack_template": ("slack", f"[integrations.slack_template.message]{MESSAGE}"),
    "webhook_template": ("webhook", f"[integrations.webhook_template.webhook]{BODY}"),
}
"""Integration → its service, and what else its table says."""

EMAIL: Final = """[integrations.email]
service = "email"
hook_url = "smtp://mail.example.org"
email = { from = "courier@example.org", to = ["soc@example.org"] }
"""

NAMES: Final = (REFERENCE, *SECTIONS)


def settings() -> str:
    """Return a courier.toml with a table for each service; each takes a group of its own. `{port}` is the target's."""
    tables = (
        f'[integrations.{name}]\nservice = "{service}"\nhook_url = "http://127.0.0.1:{{port}}/{name}"\n'
        f'group = "{name}"\nrate_limits = []\n{more}\n'
        for name, (service, more) in SECTIONS.items()
    )
    default = f'[integrations.default]\nrate_limits = []\ndashboard_url = "{DASHBOARD}"\n'
    return "\n".join([default, *tables])


def integrations() -> dict[str, Integration]:
    """Return the integrations as a producer reads them, with one for email, by id."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "courier.toml"
        file.write_text(f"{settings()}\n{EMAIL}".replace("{port}", "9"))
        file.chmod(0o600)
        config = Path(name) / "ossec.conf"
        config.write_text(CONFIG.format(port=9))
        found = read_configuration(load_settings(file=file, environment={}, cwd=Path(name)), config=config)
    if found.problems:
        raise RuntimeError("; ".join(map(str, found.problems)))
    return {one.id: one for one in found.integrations}


def delivery_ms(system: System, name: str, count: int, arrived: int) -> float:
    """Return the CPU of producer and worker for one delivery to a service; `arrived` requests were made before."""
    before = system.cpu()
    system.append([b"".join(alerts(count, name, first=arrived))])
    wait_until(lambda: system.target.counts()["requests"] >= arrived + count, f"{name}: not everything arrived")
    wait_until(lambda: not system.redis.hlen(f"courier:{{{name}}}:records"), f"{name}: not everything was settled")
    after = system.cpu()
    return 1000 * sum(after[part] - before[part] for part in ("producer", "workers")) / count


def deliveries(count: int, rounds: int) -> dict[str, list[float]]:
    """Return the CPU of a delivery in ms by service, for each round."""
    taken: dict[str, list[float]] = {name: [] for name in NAMES}
    arrived = 0
    with running(config=CONFIG, settings=settings()) as system:
        for number in range(-1, rounds):  # the first round does not count: it opens connections and loads code
            for name in NAMES[:: 1 if number % 2 else -1]:
                spent = delivery_ms(system, name, count, arrived)
                arrived += count
                if number >= 0:
                    taken[name].append(spent)
    return taken


def build_us(service: Service[Any, Any], response: Response, lines: Sequence[bytes]) -> float:
    """Return the CPU in µs for one alert: read it, build the calls and interpret the response to each."""
    start_s = time.process_time()
    for n, line in enumerate(lines):
        alert = Alert(line, f"bench:4f2a:{n}")
        for call in service.build_calls(alert):
            service.interpret(alert, call, response)
    return 1e6 * (time.process_time() - start_s) / len(lines)


def builds(blocks: dict[str, Integration], lines: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """Return the CPU of each service for one alert, in µs, for each round."""
    choices = ServiceOptions(dashboard_url=DASHBOARD)
    services = {name: make_service(blocks[name], choices) for name in (*NAMES, "email")}
    taken: dict[str, list[float]] = {name: [] for name in services}
    for number in range(-1, rounds):
        for name in list(services)[:: 1 if number % 2 else -1]:
            response = MailReply(status=250, command="content") if name == "email" else Response(status=200)
            spent = build_us(services[name], response, lines)
            if number >= 0:
                taken[name].append(spent)
    return taken


def render_us(block: Integration, lines: Sequence[bytes], rounds: int) -> list[float]:
    """Return the median of the CPU in µs that the message of one alert takes, for each round."""
    renderer = MessageRenderer(block, SLACK_MESSAGE, MESSAGE_LIMITS, ServiceOptions(dashboard_url=DASHBOARD))
    read = [(alert, alert.fields) for alert in map(Alert, lines)]
    return [
        median(_timed_us(lambda one=one: renderer.render(*one)) for one in read)  # type: ignore[misc]  # mypy: default of a lambda
        for _ in range(rounds)
    ]


def _timed_us(function: Callable[[], object]) -> float:
    start_ns = time.thread_time_ns()
    function()
    return (time.thread_time_ns() - start_ns) / 1000


def figures(count: int, rounds: int) -> list[Figure]:
    """Measure everything."""
    blocks, path = integrations(), corpus(CORPUS_ALERTS)
    with path.open("rb") as file:
        lines = list(islice((line.rstrip(b"\n") for line in file), count))
    template, default = (render_us(blocks[name], lines, rounds) for name in ("slack_template", "teams"))
    built, delivered = builds(blocks, lines, rounds), deliveries(count, rounds)
    return [
        *(Figure(f"{name}_delivery_cpu_ms", tuple(spent), "less") for name, spent in delivered.items()),
        *_ratios(delivered, "delivery_ratio"),
        *(Figure(f"{name}_build_us", tuple(spent), "less") for name, spent in built.items()),
        *_ratios(built, "build_ratio"),
        Figure("template_us", tuple(template), "less", GOALS["template_us"]),
        Figure("template_default_us", tuple(default), "less"),
    ]


def _ratios(taken: dict[str, list[float]], what: str) -> list[Figure]:
    return [
        Figure(
            f"{name}_{what}",
            tuple(one / slack for one, slack in zip(spent, taken[REFERENCE], strict=True)),
            "less",
            GOALS.get(f"{name}_{what}"),
        )
        for name, spent in taken.items()
        if name != REFERENCE
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=2000, help="alerts for each service and round")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    about = f"{chosen.alerts} alerts a turn, one worker process, {chosen.rounds} rounds"
    return report("services", figures(chosen.alerts, chosen.rounds), about=about)


if __name__ == "__main__":
    sys.exit(main())
