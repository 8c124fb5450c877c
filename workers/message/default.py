"""The default message: what a person needs of an alert, also of one without a log line.

It never fails: whatever is missing or of another type is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.exact_json import as_number
from common.templates.values import text_of
from workers.integrations.helpers.alert_fields import get
from workers.message.dashboard import alert_link
from workers.message.digest import digest_pairs, digest_text
from workers.message.highlights import highlights
from workers.message.markup import one_line
from workers.message.message import Field, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.digest import Digest
    from workers.message.markup import Markup

NO_DESCRIPTION: Final = "Wazuh alert"

MAX_LOG_CHARS: Final = 2_000
"""Characters of the log line that are kept; a person reads the beginning, and the link leads to the rest."""

MAX_VALUE_CHARS: Final = 4_000
"""Characters of the title and of a value that are kept, more than any service shows. Escaping a text takes up to 1 us a
character, and an alert can have megabytes of them."""

MAX_TECHNIQUES: Final = 5


def default_message(
    fields: dict[str, Any], markup: Markup, dashboard_url: str = "", digest: Digest | None = None
) -> Message:
    """Return the message for an alert or a digest, escaped but not cut to a service's limits yet."""
    escape = markup.escape
    log = digest_text(digest) if digest else get(fields, "full_log")
    pairs = digest_pairs(digest) if digest else _pairs(fields)
    return Message(
        title=markup.title(_short(text_of(get(fields, "rule", "description")))) or NO_DESCRIPTION,
        text=escape(log[:MAX_LOG_CHARS].strip()) if isinstance(log, str) else "",
        fields=tuple(Field(markup.field_name(_short(name)), escape(_short(value))) for name, value in pairs),
        link=alert_link(dashboard_url, get(fields, "id")),
        level=level_of(fields),
    )


def _short(text: str) -> str:
    return one_line(text[:MAX_VALUE_CHARS])


def level_of(fields: dict[str, Any]) -> float:
    """Return the level of the rule, 0 if it has none."""
    return as_number(get(fields, "rule", "level")) or 0


def _pairs(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    rule = text_of(get(fields, "rule", "id"))
    level = text_of(get(fields, "rule", "level"))
    if rule or level:
        yield "Rule", f"{rule or '?'} (level {level or '?'})"
    if agent := _agent(fields):
        yield "Agent", agent
    if host := text_of(get(fields, "agentless", "host")):
        yield "Agentless host", host
    if location := text_of(fields.get("location")):
        yield "Location", location
    yield from highlights(fields)
    if mitre := _mitre(get(fields, "rule", "mitre")):
        yield "MITRE ATT&CK", mitre


def _agent(fields: dict[str, Any]) -> str:
    name = text_of(get(fields, "agent", "name"))
    about = ", ".join(filter(None, (text_of(get(fields, "agent", part)) for part in ("id", "ip"))))
    return f"{name} ({about})" if name and about else name or about


def _mitre(mitre: Any) -> str:
    if not isinstance(mitre, dict):
        return ""
    ids, names = (_texts(mitre.get(part)) for part in ("id", "technique"))
    names += [""] * (len(ids) - len(names))
    return ", ".join(f"{one} {name}".strip() for one, name in zip(ids, names, strict=False))


def _texts(value: Any) -> list[str]:
    return [text_of(one) for one in value[:MAX_TECHNIQUES]] if isinstance(value, list) else []
