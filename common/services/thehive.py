"""What `[integrations.ID.thehive]` can say: how an alert is filed in TheHive 5."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from common.services.addresses import api_address, header_value
from common.services.declaration import Declaration
from common.services.tags import tag_list
from common.settings.message import ALL_PARTS
from common.settings.values import boolean, integer, optional, text

MAX_TAG_CHARS: Final = 128
"""Characters of a tag; no source found, conservative."""

RED: Final = 4
"""The strictest TLP: 0 clear, 1 green, 2 amber, 3 amber+strict, 4 red. No page of TheHive was found, but a client of
TheHive 5 says the same of TLP and PAP (github.com/lidless-labs/thehive-mcp, thehive_create_alert)."""

PAP_RED: Final = 3
"""The strictest PAP: 0 clear, 1 green, 2 amber, 3 red (as above)."""


class TheHiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of TheHive. `organisation` is that of the alerts, if the user of the key has several."""

    type: Annotated[str, text("a text of 1 to 32 characters", r"\S.{0,31}")] = "wazuh"
    source: Annotated[str, text("a text of 1 to 64 characters", r"\S.{0,63}")] = "wazuh"
    organisation: Annotated[str | None, optional(text("the name of an organisation", r"[ -~]{1,128}"))] = None
    tags: Annotated[tuple[str, ...], tag_list(MAX_TAG_CHARS)] = ("wazuh",)
    tlp: Annotated[int, integer(0, RED)] = 2
    pap: Annotated[int, integer(0, PAP_RED)] = 2
    observables: Annotated[bool, boolean()] = True
    case_template: Annotated[str | None, optional(text("the name of a case template", r".{1,128}"))] = None


DECLARATION: Final = Declaration(
    required=("hook_url", "api_key"), options=TheHiveOptions, message=ALL_PARTS, address=api_address, key=header_value
)
