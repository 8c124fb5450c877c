"""The section `[integrations.ID.message]`: what a message shows, as templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from common.settings.template_values import link_text, template_file, template_text, templates
from common.templates.source import TemplateSource

MESSAGE: Final = "message"
"""The name of the section."""


class MessageTemplates(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a message; each that is None is that of the default message.

    `template` names a file that has the template of the text.
    """

    title: Annotated[TemplateSource | None, template_text()] = None
    text: Annotated[TemplateSource | None, template_text()] = None
    fields: Annotated[Mapping[str, TemplateSource] | None, templates()] = None
    link: Annotated[TemplateSource | None, link_text()] = None
    template: Annotated[TemplateSource | None, template_file()] = None


ALL_PARTS: Final = frozenset(MessageTemplates.__struct_fields__)
