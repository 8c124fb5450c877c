"""The services that Courier has code for, and the options that each needs. Everything else is a script, `custom-*`.

`workers/integrations/registry.py` has the code, by the same names. To add a service see CONTRIBUTING.md.
"""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from common.integration import SCRIPT_PREFIX
from common.services import (
    apprise,
    discord,
    email,
    googlechat,
    iris,
    jira,
    mattermost,
    ntfy,
    rocketchat,
    splunk_hec,
    syslog,
    telegram,
    thehive,
    webhook,
)
from common.services.addresses import api_address, header_value
from common.services.declaration import Declaration
from common.settings.message import ALL_PARTS
from common.settings.values import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICES: Final[Mapping[str, Declaration]] = MappingProxyType(
    {
        "slack": Declaration(required=("hook_url",), message=ALL_PARTS, merges_options=True),
        "pagerduty": Declaration(required=("api_key",), message=frozenset({"title", "link"}), merges_options=True),
        "virustotal": Declaration(required=("api_key",)),
        "shuffle": Declaration(
            required=("hook_url",), message=frozenset({"title", "text", "template"}), merges_options=True
        ),
        "maltiverse": Declaration(required=("hook_url", "api_key"), address=api_address, key=header_value),
        "teams": Declaration(required=("hook_url",), message=ALL_PARTS, merges_options=True),
        "discord": discord.DECLARATION,
        "googlechat": googlechat.DECLARATION,
        "mattermost": mattermost.DECLARATION,
        "rocketchat": rocketchat.DECLARATION,
        "webhook": webhook.DECLARATION,
        "telegram": telegram.DECLARATION,
        "ntfy": ntfy.DECLARATION,
        "email": email.DECLARATION,
        "jira": jira.DECLARATION,
        "thehive": thehive.DECLARATION,
        "iris": iris.DECLARATION,
        "splunk-hec": splunk_hec.DECLARATION,
        "syslog": syslog.DECLARATION,
        "apprise": apprise.DECLARATION,
    }
)
"""What each service declares. `workers/integrations/registry.py` has the code, by the same names."""

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {name: declared.required for name, declared in SERVICES.items()}
"""The options that each service requires (spec 1.4)."""

STOCK: Final = ("slack", "pagerduty", "virustotal", "shuffle", "maltiverse")
"""The names that the stock Integrator knows: what a `<name>` in ossec.conf can be, besides `custom-*`."""

MERGES_OPTIONS: Final = frozenset(name for name, declared in SERVICES.items() if declared.merges_options)
"""The services that merge `options` into their message (spec 5.1); the others ignore them."""


def check_service(name: str) -> None:
    """Raise ValueError, which says what to write, unless there is such a service or it is the name of a script."""
    if name in REQUIRED or name.startswith(SCRIPT_PREFIX):
        return
    close = get_close_matches(name.strip().lower(), REQUIRED, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(
        f"{quoted(name)} is no service: write {', '.join(REQUIRED)}, or a name that begins with {SCRIPT_PREFIX} for "
        f"a script of your own{hint}"
    )
