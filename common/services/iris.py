"""What `[integrations.ID.iris]` can say: how an alert is filed in DFIR-IRIS 2.4.

IRIS wants the ids of its own tables. The defaults are those of a new installation of 2.4: the order in which the rows
are created (github.com/dfir-iris/iris-web, source/app/post_init.py). Severities are an exception: the migration
d207b4d13385 (source/app/alembic/versions) runs earlier and creates Medium as the first one. *Manage > Case objects*
shows the ids of an installation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from common.services.addresses import api_address, header_value
from common.services.declaration import Declaration
from common.services.tags import MAX_ID, id_table, tag_list
from common.settings.definition import non_empty
from common.settings.message import ALL_PARTS
from common.settings.values import boolean, integer, optional

SEVERITY_IDS: Final[Mapping[str, int]] = {"info": 3, "low": 4, "medium": 1, "high": 5, "critical": 6}
"""1 Medium, by the migration; then 2 Unspecified, 3 Informational, 4 Low, 5 High, 6 Critical, by post_init.py."""

IOC_TYPE_IDS: Final[Mapping[str, int]] = {
    "srcip": 79,
    "dstip": 77,
    "domain": 20,
    "url": 141,
    "md5": 90,
    "sha1": 111,
    "sha256": 113,
    "user": 133,
}
"""`ip-src`, `ip-dst`, `domain`, `url`, `md5`, `sha1`, `sha256` and `target-user`."""

NEW: Final = 2
"""The status of an alert that nobody has looked at."""

AMBER: Final = 2
"""1 red, 2 amber, 3 green."""

MAX_TAG_CHARS: Final = 100


class IrisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of IRIS. What `severity_ids` and `ioc_type_ids` leave out keeps its default."""

    customer_id: Annotated[int, integer(1, MAX_ID)] = 1
    classification_id: Annotated[int | None, optional(integer(1, MAX_ID))] = None
    status_id: Annotated[int, integer(1, MAX_ID)] = NEW
    severity_ids: Annotated[Mapping[str, int], id_table(SEVERITY_IDS)] = {}
    ioc_type_ids: Annotated[Mapping[str, int], id_table(IOC_TYPE_IDS)] = {}
    tlp_id: Annotated[int, integer(1, MAX_ID)] = AMBER
    source: Annotated[str, non_empty()] = "wazuh"
    tags: Annotated[tuple[str, ...], tag_list(MAX_TAG_CHARS, ",")] = ("wazuh",)
    iocs: Annotated[bool, boolean()] = True


DECLARATION: Final = Declaration(
    required=("hook_url", "api_key"), options=IrisOptions, message=ALL_PARTS, address=api_address, key=header_value
)
