"""Translates the language of ossec.conf into XML, so that lxml can read it and every value stays verbatim.

The stock reader knows elements, attributes and comments only (spec 1.2): `&` is one character, `&amp;` five, a
backslash escapes a `<` and stays in the value, and a comment begins with `<!` and ends with `-->` or `!>` anywhere.
One pass over the text rewrites all this as XML. Line breaks are kept, so line numbers do not change. Text that the
stock reader would not accept as a tag is left as a bare `<`, so that lxml raises an error there, which the caller
reports. An unclosed comment is left in the same way.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

UNREADABLE: Final = "\ufdd0"
"""Replaces a byte that XML cannot hold: a control character, or not UTF-8. Unicode reserves it for internal use."""

MAX_ATTRIBUTES: Final = 49
MAX_TEXT_BYTES: Final = 20_479
"""Limits of the stock reader: attributes of an element, bytes of a name or value (spec 1.2)."""

_NO_TEXT = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufdd0\ufffe\uffff"
_SPACE = r"[ \t\r\n]"
_COMMENT = r"<!.*?(?:-->|!>)"
_NAME = rf"(?>(?:[^ \t\r\n<>/=\"'&!?\\{_NO_TEXT}]|{_COMMENT})+)"
_VALUE = rf"(?:\"[^\"]{{0,{MAX_TEXT_BYTES}}}\"|'[^']{{0,{MAX_TEXT_BYTES}}}')"
_ATTRIBUTE = rf"(?P<name>[^ \t\r\n<>/=\"'&{_NO_TEXT}]*)(?P<value>={_SPACE}*{_VALUE})"
_ANY_ATTRIBUTE = re.sub(r"\?P<\w+>", "?:", rf"{_SPACE}+{_ATTRIBUTE}")
_TOKEN: Final = re.compile(
    rf"(?P<cdata><!\[CDATA\[(?P<literal>(?:[^<]|<(?!!\[CDATA\[))*?)\]\]>)"
    rf"|(?P<comment>{_COMMENT})"
    rf"|(?P<endless><!.*)"
    rf"|(?P<declaration><\?xml{_SPACE}[^<>]*\?>)"
    rf"|</(?P<end>{_NAME})>"
    rf"|<(?P<start>{_NAME})(?P<attributes>(?>(?:{_ANY_ATTRIBUTE}){{0,{MAX_ATTRIBUTES}}}){_SPACE}*)(?P<empty>/?)>"
    rf"|(?P<escape>\\[\\<])"
    rf"|(?P<special>[&>\r{_NO_TEXT}])",
    re.DOTALL,
)
_NO_TEXT_CODES: Final = (*range(9), 11, 12, *range(14, 32), 127, *range(0xD800, 0xE000), 0xFDD0, 0xFFFE, 0xFFFF)
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}) | dict.fromkeys(
    _NO_TEXT_CODES, UNREADABLE
)
_CDATA_NOTE: Final = "CDATA is read as text here, but the stock daemon takes it for a comment and refuses the file"
_DECLARATION_NOTE: Final = "<?xml …?> is skipped here, but the stock daemon refuses the file because of it"
_ATTRIBUTE_NOTE: Final = "> in an attribute's value is read here, but the stock daemon refuses the file because of it"


class Remark(NamedTuple):
    """Something that the stock reader would refuse."""

    line: int
    text: str


class Translation(NamedTuple):
    """The whole file as XML, although it can have several roots and text around them."""

    xml: str
    remarks: tuple[Remark, ...]


def to_xml(content: bytes) -> Translation:
    """Translate the content of a file. Never fails: a syntax error stays in the result, on the same line."""
    text = content.decode("utf-8", "surrogateescape")
    notes: list[Remark] = []

    def replace(token: re.Match[str]) -> str:
        if note := _remark(token):
            notes.append(Remark(text.count("\n", 0, token.start()) + 1, note))
        return _translate_token(token)

    return Translation(_TOKEN.sub(replace, text), tuple(notes))


def _remark(token: re.Match[str]) -> str | None:
    """Return why the stock reader would refuse the file because of this token."""
    if token["cdata"] is not None:
        return _CDATA_NOTE
    if token["declaration"] is not None:
        return _DECLARATION_NOTE
    return _ATTRIBUTE_NOTE if ">" in (token["attributes"] or "") else None


def _translate_token(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "cdata":
            return token["literal"].translate(_ESCAPES)
        case "comment" | "declaration":
            return _line_breaks(token[0])
        case "endless":
            return "<!--"
        case "end":
            return f"</{_name(token['end'])}>"
        case "empty":
            attributes = re.sub(_ATTRIBUTE, _attribute, token["attributes"]).translate(_ESCAPES)
            return f"<{_name(token['start'])}{attributes}{token['empty']}>"
        case _:
            return token[0].translate(_ESCAPES)


def _name(text: str) -> str:
    """Return a tag's name without the comments in it; a colon has a meaning in XML but none in ossec.conf."""
    name = re.sub(_COMMENT, "", text, flags=re.DOTALL)
    return name.replace(":", ".") + _line_breaks(text)


def _attribute(match: re.Match[str]) -> str:
    """Return an attribute with a name valid in XML: the stock reader accepts any or no name. Only `id` is read."""
    name = match["name"] if match["name"] == "id" else f"_{match['name'].encode().hex()}"
    return f"{name}{match['value']}"


def _line_breaks(text: str) -> str:
    return "\n" * text.count("\n")
