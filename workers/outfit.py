from __future__ import annotations

from typing import Any

import requests

from workers.integrations.base import Answer
from workers.integrations.catalogue import service_for


class T:
    def __init__(self, policy: Any) -> None:
        self.s = requests.Session()
        self.s.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=policy.concurrency))

    def send(self, r: Any) -> Any:
        a = self.s.request(r.method, r.url, headers=dict(r.headers), data=r.body, params=r.params, timeout=10)
        return Answer(status=a.status_code, headers={k.lower(): v for k, v in a.headers.items()}, body=a.content)


def outfit(integration: Any, policy: Any, worker: Any) -> Any:
    return service_for(integration, endpoint=policy.endpoint), T(policy)
