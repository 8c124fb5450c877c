"""Reads one `<integration>` block: its options, whether it is valid, and all of its errors at once."""

from __future__ import annotations

import re
from collections import defaultdict
from difflib import get_close_matches
from html import unescape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.errors import ConfigError
from common.integration import SCRIPT_PREFIX, Integration
from common.integration_options import parse_options
from common.secret import Secret
from common.services import MERGES_OPTIONS, SERVICES
from common.settings.values import quoted
from producer.ossec_conf import elements
from producer.ossec_conf.dialect import MAX_TEXT_BYTES, UNREADABLE
from producer.ossec_conf.elements import ELEMENTS, REQUIRED
from producer.ossec_conf.integration_ids import IdSource, check_id
from producer.ossec_conf.lint import lint
from producer.ossec_conf.model import ConfigWarning
from producer.ossec_conf.structure import BLOCK, line_of, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.etree import _Element

    from producer.ossec_conf.structure import BlockElement
    from producer.secret_references import SecretReferences

_NUMBERS: Final[dict[str, Callable[[str], int]]] = {
    "level": elements.unsigned,
    "max_log": elements.max_log,
    "timeout": elements.signed,
    "retries": elements.signed,
}
_TRIMMED: Final = ("hook_url", "api_key")
_FIELDS: Final = {"rule_id": "rule_ids", "timeout": "timeout_s"}


class ParsedBlock(NamedTuple):
    """The result of reading a block. Its id is made from `id_source`, which holds all that could be read."""

    line: int
    id_source: IdSource
    integration: Integration | None
    errors: tuple[ConfigError, ...]
    warnings: tuple[ConfigWarning, ...] = ()


def read_block(block: BlockElement, file: str, references: SecretReferences) -> ParsedBlock:
    """Read one block. The integration has no id yet, and is None if there are errors. `references` reads secrets."""
    if block.element is None:
        errors = (block.problem,) if block.problem else ()
        return ParsedBlock(block.line, _id_source_of_broken(block.source), None, errors)
    return _BlockReader(block.element, file, block.lines_before, references).result()


def _id_source_of_broken(source: str) -> IdSource:
    """Return as much of a broken block's id source as can be read, so that blocks of the same name keep their ids."""
    explicit = re.match(rf"<{BLOCK}\s[^<>]*?\bid=\s*[\"']([^\"'<>]*)[\"']", source)
    texts = re.findall(rf"<({'|'.join(ELEMENTS)})\b[^<>]*>([^<]*)</\1\s*>", source)
    return IdSource.of(((name, unescape(text)) for name, text in texts), explicit[1] if explicit else None)


class _BlockReader:
    """Collects the values, errors and warnings of one block."""

    def __init__(self, element: _Element, file: str, lines_before: int, references: SecretReferences) -> None:
        self._references = references
        self.element, self.file, self.lines_before = element, file, lines_before
        self.line = line_of(element) + lines_before
        self.texts: dict[str, list[str]] = defaultdict(list)
        self.lines: dict[str, int] = {}
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigWarning] = []

    def result(self) -> ParsedBlock:
        for child in self.element:
            self._read_child(child)
        values = self._values()
        explicit_id = self._explicit_id()
        self._check_start(values)
        pairs = ((name, text) for name, texts in self.texts.items() for text in texts)
        id_source = IdSource.of(pairs, explicit_id)
        if self.errors:
            return ParsedBlock(self.line, id_source, None, tuple(self.errors))
        integration = Integration(id="", file=self.file, line=self.line, **values)
        for element, text in lint(integration, self.texts):
            self._warn(text, element)
        return ParsedBlock(self.line, id_source, integration, (), tuple(self.warnings))

    def _read_child(self, child: _Element) -> None:
        name = name_of(child)
        if name.lower() == "var":
            return
        self.lines[name] = line_of(child) + self.lines_before
        if name not in ELEMENTS:
            close = get_close_matches(name.lower(), ELEMENTS, 1)
            hint = f"write <{close[0]}>" if close else f"write one of {', '.join(ELEMENTS)}"
            self._refuse(f"is not an option of an integration: {hint} or remove it", name)
            return
        text = (child[-1].tail if len(child) else child.text) or ""
        if len(child):
            self._warn(
                r"holds an element (a placeholder?), so only the text behind it counts: write < as \u003c or %3C", name
            )
        self.texts[name].append(text)
        if len(text.encode()) > MAX_TEXT_BYTES:
            self._refuse(f"is longer than {MAX_TEXT_BYTES} bytes: the stock daemon takes no more", name)
        if UNREADABLE in text:
            self._refuse("holds a control character or is not UTF-8: save the file as UTF-8", name)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, texts in self.texts.items():
            try:
                values[_FIELDS.get(name, name)] = self._value(name, texts)
            except ValueError as error:
                self._refuse(str(error), name)
        return values

    def _value(self, name: str, texts: list[str]) -> object:
        """Return an option's value: the last of repeated elements counts, but all are checked (spec 1.3)."""
        if name == "rule_id":
            return elements.rule_ids(texts).numbers
        if name in _NUMBERS:
            return [_NUMBERS[name](text) for text in texts][-1]
        if name in _TRIMMED:
            return self._references.resolve(texts[-1])
        return Secret(texts[-1]) if name in elements.SECRETS else texts[-1]

    def _explicit_id(self) -> str | None:
        explicit_id = self.element.get("id")
        if explicit_id is not None:
            try:
                check_id(explicit_id)
            except ValueError as error:
                self._refuse(f"id={quoted(explicit_id)} {error}", BLOCK)
        return explicit_id

    def _check_start(self, values: dict[str, Any]) -> None:
        """Refuse a block that the stock daemon would disable, or that could never deliver (spec 1.4)."""
        if "name" not in self.texts:
            self._refuse(f"has no <name>: add one of {', '.join(REQUIRED)} or {SCRIPT_PREFIX}…", BLOCK)
            return
        name = self.texts["name"][-1]
        if name not in REQUIRED:
            if not name.startswith(SCRIPT_PREFIX):
                self._refuse(_unsupported(name), "name")
            return
        for element in REQUIRED[name]:
            if element not in self.texts:
                self._refuse(f"is missing: {name} needs it; add <{element}>…</{element}> to the block", element)
        if "hook_url" in values and "hook_url" in REQUIRED[name]:
            self._check("hook_url", values["hook_url"], elements.check_hook_url)
        for element, check in (("hook_url", SERVICES[name].address), ("api_key", SERVICES[name].key)):
            if check and element in values and element not in {error.element for error in self.errors}:
                self._check(element, values[element], check)
        if "options" in values and name in MERGES_OPTIONS:
            self._check("options", values["options"], parse_options)

    def _check(self, element: str, value: Secret, check: Callable[[str], object]) -> None:
        try:
            check(value.reveal())
        except ValueError as error:
            self._refuse(str(error), element)

    def _refuse(self, problem: str, element: str) -> None:
        line = self.lines.get(element, self.line)
        self.errors.append(ConfigError(problem, file=self.file, line=line, element=element))

    def _warn(self, text: str, element: str) -> None:
        self.warnings.append(ConfigWarning(text, self.file, self.lines.get(element, self.line), element))


def _unsupported(name: str) -> str:
    meant = name.strip().lower()
    if meant in REQUIRED or meant.startswith(SCRIPT_PREFIX):
        return f"{quoted(name)} is not supported: write {meant}, exactly so"
    if meant in SERVICES:
        return (
            f"{quoted(name)} is not supported in ossec.conf: move the block to a table of courier.toml, "
            f'[integrations.{meant}], with service = "{meant}"'
        )
    close = get_close_matches(meant, REQUIRED, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    services = f"write {', '.join(REQUIRED)} or a name that begins with {SCRIPT_PREFIX}, exactly so"
    return f"{quoted(name)} is not supported: {services}, for a script of your own{hint}"
