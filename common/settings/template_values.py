"""Readers of templates: written in courier.toml, or named as a file that the producer reads.

The producer publishes a template with its text, also that of a file, so that workers need no file. That is why the
readers accept a table with `text` and `file`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.settings.values import Reader, quoted, require_non_empty, require_text
from common.templates.source import MAX_TEMPLATE_BYTES, TemplateSource

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FIELDS = 25
"""Fields of a message: as many as Discord shows, more than people read."""

MAX_FIELD_NAME_CHARS = 100


def template_text() -> Reader[TemplateSource]:
    """Read a template that is written as a text."""
    return Reader('a text such as "{{ rule.description }}"', _source, _show)


def link_text() -> Reader[TemplateSource]:
    """Read a template of a link. A text in front of its first variable must begin a URL, or no message had a link."""

    def parse(raw: object) -> TemplateSource:
        source = _source(raw)
        start = source.text.lstrip().split("{", 1)[0]
        if not any(start.startswith(scheme) or scheme.startswith(start) for scheme in ("https://", "http://")):
            raise ValueError(f"{quoted(start)} does not begin with https:// or http://")
        return source

    return Reader('a URL such as "https://example.org/alert/{{ id }}"', parse, _show)


def template_file() -> Reader[TemplateSource]:
    """Read the path of a file that holds a template. The producer adds its text."""

    def parse(raw: object) -> TemplateSource:
        if isinstance(raw, dict):
            return _source(raw)
        path = require_non_empty(raw)
        if not Path(path).is_absolute():
            raise ValueError(f"{quoted(path)} is not an absolute path")
        return TemplateSource(file=path)

    return Reader('the absolute path of a file, such as "/etc/courier/message.j2"', parse, _show)


def templates() -> Reader[Mapping[str, TemplateSource]]:
    """Read a table of templates by name."""

    def parse(raw: object) -> Mapping[str, TemplateSource]:
        if not isinstance(raw, dict):
            raise ValueError(f"{quoted(raw)} is not a table")  # noqa: TRY004 — one kind of bad input
        if len(raw) > MAX_FIELDS:
            raise ValueError(f"the table has {len(raw)} entries, and a message at most {MAX_FIELDS}")
        for name in raw:
            if not name.strip() or len(name) > MAX_FIELD_NAME_CHARS:
                raise ValueError(f"the name {quoted(name)} is empty or longer than {MAX_FIELD_NAME_CHARS} characters")
        return {name: _source(value) for name, value in raw.items()}

    expected = 'a table of texts, such as { Agent = "{{ agent.name }}", Source = "{{ data.srcip }}" }'
    return Reader(expected, parse, lambda table: {name: one.text for name, one in table.items()})


def _source(raw: object) -> TemplateSource:
    if isinstance(raw, dict):
        return TemplateSource(require_text(raw.get("text", "")), require_text(raw.get("file", "")))
    text = require_text(raw)
    if len(text.encode()) > MAX_TEMPLATE_BYTES:
        raise ValueError(f"the text has more than {MAX_TEMPLATE_BYTES // 1024} KiB")
    return TemplateSource(text)


def _show(source: TemplateSource) -> Any:
    return source.file or source.text
