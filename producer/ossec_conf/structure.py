"""Finds the `<integration>` blocks of a translated file.

In a well-formed file they are inside a top-level `<ossec_config>`. Files of real managers often have a syntax error
elsewhere, in a section that this daemon does not use: then each piece from `<integration>` to `</integration>` is read
separately. Errors quote no text of the file except names of elements that Courier knows: behind a stray `<` any word
can be part of a key.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from lxml import etree

from common.errors import ConfigError
from producer.ossec_conf.elements import ELEMENTS
from producer.ossec_conf.model import ConfigWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import XMLSyntaxError, _Element

ROOT: Final = "ossec_config"
BLOCK: Final = "integration"

_WRAPPER: Final = "file"
_START: Final = rf"<{BLOCK}(?=[\s/>])(?:[^<>]*/>)?"
_TAGS: Final = re.compile(rf"{_START}|</{BLOCK}\s*>")
_MISMATCH: Final = re.compile(r"mismatch: (\S+) line (\d+) and ([^\s,]+)")
_UNCLOSED: Final = re.compile(r"in tag (\S+) line (\d+)")
_BARE_LESS_THAN: Final = (
    r"there is a bare < (in JSON write \u003c, in a URL %3C) or a tag that is not written <name> or </name>"
)
_HOLDS_BARE: Final = r"holds a bare <: in JSON write \u003c, in a URL %3C"
_HOLDS_TAG: Final = (
    r"holds text in angle brackets: replace a placeholder, with its brackets, by the value itself; a < that is meant "
    r"is written \u003c in JSON and %3C in a URL"
)
_VALUE: Final = re.compile(rf"<({'|'.join(ELEMENTS)})(?:\s[^<>]*)?>(.*?)</\1\s*>", re.DOTALL)
_OPTION: Final = re.compile(rf"<({'|'.join(ELEMENTS)})[\s>/]")
_SECTIONS: Final = frozenset(
    (
        *("active-response", "agent-upgrade", "agentless", "alerts", "anti_tampering", "auth", "client"),
        *("client_buffer", "cluster", "command", "database_output", "email_alerts", "fluent-forward", "gcp-bucket"),
        *("gcp-pubsub", "github", "global", "indexer", "integration", "labels", "localfile", "logging", "ms-graph"),
        *("office365", "osquery", "remote", "reports", "rootcheck", "rule_test", "rules", "ruleset", "sca", "socket"),
        *("syscheck", "syslog_output", "task-manager", "vulnerability-detection", "vulnerability-detector"),
        *("wazuh_db", "wodle"),
    )
)
"""The sections of Wazuh 4.x: its documentation's reference of ossec.conf, "Local configuration", and older names."""

_MISSPELT: Final = re.compile(r"<(integrat[A-Za-z_-]*)(?=[\s>])", re.IGNORECASE)
_EXPLAINED: Final = {
    41: 'an attribute is not written name="value"',  # XML_ERR_ATTRIBUTE_WITHOUT_VALUE
    42: "an attribute occurs twice in one tag",  # XML_ERR_ATTRIBUTE_REDEFINED
    45: "a comment is not closed: end it with -->",  # XML_ERR_COMMENT_NOT_FINISHED
    114: "elements are nested too deep",  # XML_ERR_RESOURCE_LIMIT
}


class BlockElement(NamedTuple):
    """One block. `element` is None if it is broken: then `problem` says why, and `source` holds its text.

    `line` is its first line in the file; `lines_before` must be added to the line numbers of `element`.
    """

    line: int
    element: _Element | None
    lines_before: int = 0
    source: str = ""
    problem: ConfigError | None = None


class ParsedFile(NamedTuple):
    """The blocks in file order, and warnings about the rest of the file.

    `syntax_error` is the warning because of which the blocks were read one by one.
    """

    blocks: tuple[BlockElement, ...]
    warnings: tuple[ConfigWarning, ...]
    syntax_error: ConfigWarning | None = None


def find_blocks(xml: str, file: str) -> ParsedFile:
    """Find the blocks. Raises ConfigError without an `<ossec_config>`, or with a syntax error and no block."""
    try:
        # the wrapper is on the file's own first and last line, so that line numbers stay the same
        tree = _parse(f"<{_WRAPPER}>{xml}</{_WRAPPER}>")
    except etree.XMLSyntaxError as error:
        return _find_in_broken(xml, file, error)
    roots = [root for root in tree if name_of(root) == ROOT]
    if not roots:
        raise ConfigError(f"has no <{ROOT}>: not an ossec.conf, or it is not saved as UTF-8", file=file)
    blocks = (child for root in roots for child in root if name_of(child) == BLOCK)
    return ParsedFile(tuple(BlockElement(line_of(e), e) for e in blocks), tuple(_lint_file(tree, file)))


def name_of(element: _Element) -> str:
    """Return the name of an element; `xmlns` means nothing in ossec.conf."""
    return str(etree.QName(element).localname)


def line_of(element: _Element) -> int:
    """Return the line on which an element begins, counted from 1."""
    return cast("int", element.sourceline)


def _parse(xml: str) -> _Element:
    parser = etree.XMLParser(recover=False, no_network=True, resolve_entities=False, load_dtd=False, huge_tree=True)
    return etree.fromstring(xml.encode(), parser)


def _find_in_broken(xml: str, file: str, damage: XMLSyntaxError) -> ParsedFile:
    line, text = _explain(damage)
    blocks = tuple(_isolated(xml, file))
    if not blocks or not re.search(rf"<{ROOT}[\s/>]", xml):
        raise ConfigError(f"is not well-formed: {text}", file=file, line=line) from None
    text = f"the file is not well-formed: {text}. Its integrations are read one by one; the stock daemon refuses it"
    warning = ConfigWarning(text, file, line)
    misspelt = (found for found in _MISSPELT.finditer(xml) if found[1] != BLOCK)
    unread = [_misspelt(file, xml.count("\n", 0, found.start()) + 1, found[1]) for found in misspelt]
    return ParsedFile(blocks, (warning, *unread), warning)


def _isolated(xml: str, file: str) -> Iterator[BlockElement]:
    """Yield each piece from `<integration>` to `</integration>`; one without an end is a broken block."""
    for lines_before, source in _pieces(xml):
        yield _read_piece(source, lines_before, file)


def _pieces(xml: str) -> Iterator[tuple[int, str]]:
    """Yield each piece and the number of lines before it; a piece without an end goes up to the next one."""
    start: int | None = None
    lines = counted = 0
    for tag in _TAGS.finditer(f"{xml}<{BLOCK}>"):
        closes, empty = tag[0].startswith("</"), tag[0].endswith("/>")
        if start is not None:
            yield lines, xml[start : tag.end() if closes else tag.start()]
        start = None if closes else tag.start()
        if start is not None:
            lines, counted = lines + xml.count("\n", counted, start), start
        if empty:
            yield lines, tag[0]
            start = None


def _read_piece(source: str, lines_before: int, file: str) -> BlockElement:
    line = lines_before + 1
    if not re.search(rf"(?:</{BLOCK}\s*|/)>\Z", source):
        problem = ConfigError(f"is not closed: add </{BLOCK}>", file=file, line=line, element=BLOCK)
        return BlockElement(line, None, source=source, problem=problem)
    try:
        return BlockElement(line, _parse(source), lines_before)
    except etree.XMLSyntaxError as error:
        if holds := _value_with_bracket(source):
            element, text, lines = holds
            problem = ConfigError(text, file=file, line=line + lines, element=element)
            return BlockElement(line, None, source=source, problem=problem)
        at, text = _explain(error, lines_before)
        problem = ConfigError(f"is not well-formed: {text}", file=file, line=at, element=BLOCK)
        return BlockElement(line, None, source=source, problem=problem)


def _value_with_bracket(source: str) -> tuple[str, str, int] | None:
    """Return the option whose value holds a `<`, what to do, and its line relative to the block's first line."""
    for option in _VALUE.finditer(source):
        name, value = option[1], option[2]
        if "<" in value and not _OPTION.search(value):
            text = _HOLDS_TAG if re.search("<[^<]*(?:>|&gt;)", value) else _HOLDS_BARE
            return name, text, source.count("\n", 0, option.start())
    return None


def _explain(error: XMLSyntaxError, lines_before: int = 0) -> tuple[int, str]:
    """Return the line of a syntax error and its description, in terms of ossec.conf and without text of the file."""
    line, message = (error.lineno or 1) + lines_before, error.msg or ""
    if opened := _MISMATCH.search(message) or _UNCLOSED.search(message):
        return line, _never_closed(opened[1], int(opened[2]) + lines_before)
    return line, _EXPLAINED.get(getattr(error, "code", 0), _BARE_LESS_THAN)


def _never_closed(name: str, line: int) -> str:
    if name == _WRAPPER:
        return "an element is closed that was not opened"
    known = f"<{name}>" if name in {*ELEMENTS, ROOT, BLOCK} else "an element"
    return f"{known} of line {line} is not closed; a value may not hold a bare < nor end in a backslash"


def _lint_file(tree: _Element, file: str) -> Iterator[ConfigWarning]:
    """Yield a warning for each part outside of the blocks that the stock daemon refuses (spec 1.2)."""
    for root in tree:
        if name_of(root) not in {ROOT, "var"}:
            text = f"is not read, it is not <{ROOT}>; the stock daemon refuses the file"
            yield ConfigWarning(text, file, line_of(root), name_of(root))
            continue
        for section in root:
            name = name_of(section)
            if name == BLOCK or name.lower() == "var":
                continue
            if get_close_matches(name.lower(), [BLOCK], 1):
                yield _misspelt(file, line_of(section), name)
            elif len(section) == 0:
                text = "has no elements in it; the stock daemon refuses the file"
                yield ConfigWarning(text, file, line_of(section), name)
            elif name not in _SECTIONS:
                text = "is not a known section of ossec.conf and is not read; the stock daemon refuses a file with one"
                yield ConfigWarning(f"{text}{_nearest(name)}", file, line_of(section), name)
            for child in section:
                if name_of(child) == BLOCK:
                    text = f"is inside <{name}>, where it is not read: move it out"
                    yield ConfigWarning(text, file, line_of(child), BLOCK)


def _misspelt(file: str, line: int, name: str) -> ConfigWarning:
    text = f"is not a section of ossec.conf: write <{BLOCK}>; it is not read, and the stock daemon refuses the file"
    return ConfigWarning(text, file, line, name)


def _nearest(name: str) -> str:
    close = get_close_matches(name.lower(), _SECTIONS, 1)
    return f"; did you mean <{close[0]}>?" if close else ""
