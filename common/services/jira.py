"""What `[integrations.ID.jira]` can say: which issue an alert becomes, and when it is added to an open one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.services.addresses import api_address, header_value
from common.services.declaration import Declaration
from common.services.tags import label_list
from common.settings.definition import non_empty
from common.settings.message import ALL_PARTS
from common.settings.template_values import template_text, templates
from common.settings.values import one_of, text
from common.templates.source import TemplateSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration

MAX_LABEL_CHARS: Final = 255
"""Characters of a label; no source found, conservative."""

OWN_FIELDS: Final = frozenset({"project", "issuetype", "summary", "description", "labels"})
"""Fields of an issue that have an option of their own, or are part of the message."""


class Edition(StrEnum):
    """Atlassian's own site, or an installation of one's own."""

    CLOUD = "cloud"
    DATA_CENTER = "datacenter"


class Repeat(StrEnum):
    """What becomes of an alert for whose group there is an open issue."""

    COMMENT = "comment"
    UPDATE = "update"
    NOTHING = "nothing"


class JiraOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of Jira. `edition` None: by the host of hook_url. `group` is a template of the key of a group."""

    project: Annotated[str | None, text("the key of a project, such as SOC", "[A-Za-z][A-Za-z0-9_]{0,79}")] = None
    issue_type: Annotated[str, non_empty()] = "Task"
    user: Annotated[str | None, non_empty()] = None
    edition: Annotated[Edition | None, one_of(Edition)] = None
    labels: Annotated[tuple[str, ...], label_list(MAX_LABEL_CHARS)] = ("wazuh",)
    fields: Annotated[Mapping[str, TemplateSource], templates()] = {}
    group: Annotated[TemplateSource | None, template_text()] = None
    repeat: Annotated[Repeat, one_of(Repeat)] = Repeat.COMMENT


def check(integration: Integration, options: JiraOptions) -> Iterator[tuple[str, str]]:  # noqa: ARG001 — an interface
    """Yield what is missing, and fields that have an option of their own."""
    if options.project is None:
        yield "project", "is missing: write the key of the project that gets the issues, such as SOC"
    for name in sorted(OWN_FIELDS & options.fields.keys()):
        yield "fields", f"{name} is not one of them: write the option or the message for it"


DECLARATION: Final = Declaration(
    required=("hook_url", "api_key"),
    options=JiraOptions,
    check=check,
    message=ALL_PARTS,
    address=api_address,
    key=header_value,
    json_templates=frozenset({"fields"}),
)
