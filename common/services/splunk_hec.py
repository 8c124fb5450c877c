"""What `[integrations.ID.splunk-hec]` can say: where Splunk puts the events, and how many are sent in one request."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.settings.definition import non_empty
from common.settings.values import integer


class SplunkHecOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Splunk's HTTP Event Collector. What is not set is that of the token.

    Without `host`, an event has the name of its agent.
    """

    index: Annotated[str | None, non_empty()] = None
    sourcetype: Annotated[str | None, non_empty()] = None
    source: Annotated[str | None, non_empty()] = None
    host: Annotated[str | None, non_empty()] = None
    batch: Annotated[int, integer(1, 1000)] = 100


DECLARATION: Final = Declaration(required=("hook_url", "api_key"), options=SplunkHecOptions)
