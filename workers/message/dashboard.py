"""The link to an alert in the Wazuh dashboard.

`dashboard_url` is the address of the dashboard, such as `https://wazuh.example.org`: the link then opens Discover with
the alert's id, in the form of OpenSearch Dashboards 2 (github.com/opensearch-project/OpenSearch-Dashboards,
src/plugins/data_explorer). If it contains `{id}`, it is the whole link, for another page or index.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

PLACEHOLDER: Final = "{id}"

_DISCOVER: Final = (
    "/app/data-explorer/discover#?_a=(discover:(columns:!(_source),sort:!()),metadata:(indexPattern:'wazuh-alerts-*',"
    "view:discover))&_q=(query:(language:kuery,query:'id:%22{id}%22'))&_g=(time:(from:now-90d,to:now))"
)
MAX_ID_CHARS: Final = 100


def alert_link(dashboard_url: str, alert_id: object) -> str:
    """Return the link to an alert, empty without a dashboard or an id. The id is hostile text: it is encoded."""
    if not dashboard_url or not isinstance(alert_id, str) or not 0 < len(alert_id) <= MAX_ID_CHARS:
        return ""
    pattern = dashboard_url if PLACEHOLDER in dashboard_url else dashboard_url.rstrip("/") + _DISCOVER
    return pattern.replace(PLACEHOLDER, quote(alert_id, safe="", errors="replace").replace("'", "%27"))
