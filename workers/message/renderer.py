"""Renders the message of one integration: the operator's templates, and the default message where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.digest import is_digest, read_digest
from common.errors import ConfigError, TemplateError
from common.services.sections import options_of
from common.settings.message import MESSAGE, MessageTemplates
from workers.integrations.helpers.alert_fields import get
from workers.message.dashboard import alert_link
from workers.message.default import NO_DESCRIPTION, default_message, level_of
from workers.message.limits import Limits, fit
from workers.message.markup import one_line
from workers.message.message import Field, Message
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.integration import Integration
    from common.templates.environment import Template
    from common.templates.source import TemplateSource
    from workers.alert.alert import Alert
    from workers.integrations.helpers.service_options import ServiceOptions
    from workers.message.markup import Markup

MAX_MISSING: Final = 20
"""Missing paths that are reported of one message."""

MAX_LINK_CHARS: Final = 2_000
"""A longer link is left out: half of it would lead elsewhere."""

DIGEST_VARIABLE: Final = "courier.digest"
"""What a template of text or fields contains if it is also for digests; others would show one alert of many."""


class _Templates(NamedTuple):
    """The compiled templates of the parts that have one."""

    title: Template | None
    text: Template | None
    fields: Mapping[str, Template] | None
    link: Template | None

    def for_digests(self, sources: MessageTemplates) -> _Templates:
        """Return the templates that are used for a digest: title and link, and what names `courier.digest`."""
        text, fields = sources.template or sources.text, (sources.fields or {}).values()
        return self._replace(
            text=self.text if text and DIGEST_VARIABLE in text.text else None,
            fields=self.fields if any(DIGEST_VARIABLE in one.text for one in fields) else None,
        )


class MessageRenderer:
    """Renders the messages of one integration. Its templates are compiled once.

    `given` are the parts that the operator has written: of title, text, fields and link.
    """

    def __init__(self, block: Integration, markup: Markup, limits: Limits, choices: ServiceOptions) -> None:
        """Raise ConfigError if a template cannot be compiled. Without `choices.escape`, alert text stays as it is."""
        if not choices.escape:
            markup = markup.unescaped()
        self._markup, self._limits, self._choices = markup, limits, choices
        self._integration = block.id
        templates = options_of(block, MessageTemplates)
        given = {name for name in MessageTemplates.__struct_fields__ if getattr(templates, name) is not None}
        self.given = frozenset(given - {"template"} | ({"text"} if "template" in given else set()))
        try:
            self._templates = _compile(templates, markup) if given else None
            self._for_digests = self._templates and self._templates.for_digests(templates)
        except TemplateError as error:
            raise ConfigError(str(error), file=block.file, line=block.line or None, element=MESSAGE) from None

    def render(self, alert: Alert, fields: dict[str, Any]) -> Message:
        """Return the message for an alert within the service's limits. If a template fails, it is the default one."""
        return fit(self.render_whole(alert, fields), self._limits, self._markup)

    def render_whole(self, alert: Alert, fields: dict[str, Any]) -> Message:
        """Return the message before it is cut."""
        templates = self._for_digests if is_digest(alert.delivery_id) else self._templates
        if templates is None:
            return self._default(alert, fields)
        try:
            rendered = self._rendered(templates, alert, fields)
        except TemplateError as error:
            self._choices.on_render(0, failed=True)
            note = f"Courier shows the default message: {error}"
            return msgspec.structs.replace(self._default(alert, fields), note=note)
        self._choices.on_render(len(rendered.missing), failed=False)
        return rendered

    def _default(self, alert: Alert, fields: dict[str, Any]) -> Message:
        digest = read_digest(alert.delivery_id, fields)
        return default_message(fields, self._markup, self._choices.dashboard_url, digest)

    def _rendered(self, templates: _Templates, alert: Alert, fields: dict[str, Any]) -> Message:
        """Return the message of the templates, with the default parts where there is no template."""
        values, missing = variables(alert, fields, self._integration), list[str]()

        def text_of(template: Template) -> str:
            text = template.render(values).strip()
            missing.extend(template.missing)
            return text

        parts: dict[str, Any] = {}
        if templates.title:
            parts["title"] = one_line(text_of(templates.title)) or NO_DESCRIPTION
        if templates.text:
            parts["text"] = text_of(templates.text)
        if templates.fields is not None:
            found = ((name, text_of(one)) for name, one in templates.fields.items())
            parts["fields"] = tuple(Field(self._markup.field_name(name), value) for name, value in found if value)
        if templates.link:
            parts["link"] = _url(text_of(templates.link))
        parts["missing"] = tuple(missing[:MAX_MISSING])
        if parts.keys() >= {"title", "text", "fields"}:  # the default message takes half the time of the templates
            link = alert_link(self._choices.dashboard_url, fields.get("id"))
            return Message(**{"link": link, "level": level_of(fields), **parts})
        return msgspec.structs.replace(self._default(alert, fields), **parts)


def variables(alert: Alert, fields: dict[str, Any], integration: str) -> dict[str, Any]:
    """Return what a template sees: the alert's members, the whole alert as `alert`, and `courier`.

    `courier` has what Courier says in the alert itself (`undelivered_to` and `reason` of a fallback), and
    `integration`, `node`, `attempt`, `delivery_id` and, of a digest only, `digest`: an alert can contain a forged one.
    The alerts of a digest can come from several nodes, so its `node` is empty.
    """
    own, folds = get(fields, "courier"), is_digest(alert.delivery_id)
    courier = dict(own) if isinstance(own, dict) else {}
    if not folds:
        courier.pop("digest", None)
    courier |= {
        "integration": integration,
        "node": "" if folds else alert.delivery_id.partition(":")[0],
        "attempt": alert.attempt,
        "delivery_id": alert.delivery_id,
    }
    return {**fields, "alert": fields, "courier": courier}


def _compile(templates: MessageTemplates, markup: Markup) -> _Templates:
    """Compile all parts. Raises TemplateError."""
    from common.templates.environment import Compiler  # noqa: PLC0415 — Jinja2 is slow to import, and not always needed

    titles = Compiler(lambda text: markup.title(one_line(text)), code=markup.code)
    lines = Compiler(lambda text: markup.escape(one_line(text)), code=markup.code)
    texts, urls = Compiler(markup.escape, code=markup.code), Compiler(readable)

    def compiled(compiler: Compiler, source: TemplateSource | None) -> Template | None:
        return None if source is None else compiler.compile(source)

    fields = templates.fields
    return _Templates(
        compiled(titles, templates.title),
        compiled(texts, templates.template or templates.text),
        None if fields is None else {name: lines.compile(one) for name, one in fields.items()},
        compiled(urls, templates.link),
    )


def _url(text: str) -> str:
    """Return a link, empty unless it is one of HTTP without blanks and quotes."""
    text = text.strip()
    is_url = text.startswith(("https://", "http://")) and len(text) <= MAX_LINK_CHARS
    return text if is_url and not any(mark in text for mark in "\"'<>| \n\t`\\") else ""
