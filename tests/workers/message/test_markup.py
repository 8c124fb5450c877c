"""Alert text cannot ping, hide a link or break the layout, and a text that is cut stays whole markup."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.message.limits import cut, json_bytes, utf8_bytes, utf16_units
from workers.message.markup import (
    GOOGLE_CHAT,
    HTML,
    MARKDOWN,
    MATTERMOST,
    NONE,
    PLAIN,
    ROCKETCHAT,
    SLACK_MESSAGE,
    TEAMS,
    Markup,
)
from workers.redaction import readable

if TYPE_CHECKING:
    from collections.abc import Callable

MARKUPS = [HTML, MARKDOWN, PLAIN, SLACK_MESSAGE, NONE, TEAMS, MATTERMOST, ROCKETCHAT, GOOGLE_CHAT]
PARTS = [
    "<",
    ">",
    "&",
    "`",
    "```",
    "*",
    "_",
    "~",
    "|",
    "[x](http://e.vil)",
    "@here",
    "<!channel>",
    "\\",
    "\n",
    "- ",
    "1. ",
]
texts = st.lists(st.sampled_from(PARTS) | st.text(max_size=5), max_size=12).map("".join)

LOOKALIKE = "\N{MODIFIER LETTER GRAVE ACCENT}"
UNESCAPED_MARKDOWN = re.compile(r"(?:^|[^\\])(?:\\\\)*[*_~|\[\]()<>#`!]")


@given(texts)
def test_html_shows_exactly_the_text(text: str) -> None:
    escaped = HTML.escape(text)
    assert not re.search(r"[<>\"]|&(?!amp;|lt;|gt;|quot;)", escaped)
    assert html.unescape(escaped) == readable(text)


@given(texts)
def test_slack_shows_the_text_without_mentions_and_code(text: str) -> None:
    escaped = SLACK_MESSAGE.escape(text)
    assert not re.search(r"[<>`]|&(?!amp;|lt;|gt;)", escaped)
    assert html.unescape(escaped) == readable(text).replace("`", LOOKALIKE)


@given(texts)
def test_markdown_has_no_unescaped_punctuation(text: str) -> None:
    escaped = MARKDOWN.escape(text)
    assert not UNESCAPED_MARKDOWN.search(escaped)
    assert not re.search(r"(?<![^\W_])@\w", escaped)
    assert not re.search(r"^[ \t]*([-+](\s|$)|[-=]+\s*$|\d{1,9}[.)](\s|$))", escaped, re.MULTILINE)
    shown = re.sub(r"\\(.)", r"\1", escaped).replace("\u200b", "").replace(LOOKALIKE, "`")
    assert shown == readable(text).replace("\u200b", "").replace(LOOKALIKE, "`")


@pytest.mark.parametrize("markup", MARKUPS, ids=lambda one: one.name)
@settings(max_examples=2 * settings().max_examples)
@given(text=texts, longest=st.integers(0, 80), measure=st.sampled_from([len, utf8_bytes, utf16_units, json_bytes]))
def test_a_cut_text_fits_and_is_whole_markup(
    markup: Markup, measure: Callable[[str], int], text: str, longest: int
) -> None:
    escaped = markup.escape(text)
    short = cut(escaped, longest, markup, measure)
    assert measure(short) <= longest
    if measure(escaped) <= longest:
        assert short == escaped
    if markup is HTML or markup is SLACK_MESSAGE:
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;|quot;)", short)
    if markup is MARKDOWN:
        assert not UNESCAPED_MARKDOWN.search(short.replace("… (", "").replace(" more)", ""))
        assert not short.removesuffix("…").endswith("\\") or short.removesuffix("…").endswith("\\\\")


@given(st.integers(1, 5_000), st.integers(60, 4_000))
def test_the_end_says_how_much_is_missing(length: int, longest: int) -> None:
    short = cut("x" * length, longest, PLAIN)
    kept = short.partition("…")[0]
    assert short == ("x" * length if length <= longest else f"{kept}… ({length - len(kept)} more)")
    assert length <= longest or longest - len(short) <= 1


@given(texts, texts, st.integers(30, 120))
def test_open_tags_are_closed(one: str, other: str, longest: int) -> None:
    whole = HTML.bold(HTML.escape(one)) + HTML.code(other) + HTML.link(HTML.escape(one), "https://e.example/?a=1&b=2")
    short = cut(whole, longest, HTML)
    assert len(short) <= longest
    opened = re.findall(r"<(b|pre|a)\b", short)
    assert sorted(opened) == sorted(re.findall(r"</(b|pre|a)>", short))
    assert not re.search(r"<[^>]*\Z", short)


@pytest.mark.parametrize("markup", [MARKDOWN, SLACK_MESSAGE], ids=lambda one: one.name)
@given(text=texts, longest=st.integers(20, 60))
def test_a_block_of_code_is_closed(markup: Markup, text: str, longest: int) -> None:
    short = cut(f"before {markup.code(text * 9)}", longest, markup)
    assert short.count("```") % 2 == 0
    assert len(short) <= longest


@pytest.mark.parametrize("markup", [MARKDOWN, TEAMS, MATTERMOST, ROCKETCHAT], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "text", ["172.17.1.1", "10.0.0.5:22\n10.0.0.6", "admin@corp.example", "-5", "a@b.example, c@d.example"]
)
def test_what_people_copy_has_no_invisible_character(markup: Markup, text: str) -> None:
    assert markup.escape(text) == text


@given(texts)
def test_mattermost_shows_the_text_without_mentions_and_links(text: str) -> None:
    escaped = MATTERMOST.escape(text)
    assert not re.search(r"[<>]|(?<![^\W_])@\w|&(?!amp;|lt;|gt;)", escaped)
    assert not re.search(r"(?:^|[^\\])(?:\\\\)*[*_~|\[\]`!]", escaped)
    shown = html.unescape(re.sub(r"\\(.)", r"\1", escaped)).replace("\u200b", "").replace(LOOKALIKE, "`")
    assert shown == readable(text).replace("\u200b", "").replace(LOOKALIKE, "`")


@given(texts)
def test_teams_has_no_link_even_where_backslashes_are_shown(text: str) -> None:
    assert not re.search(r"\]\\?\(", TEAMS.escape(text))


@given(texts)
def test_rocketchat_shows_the_text_without_mentions_and_links(text: str) -> None:
    escaped = ROCKETCHAT.escape(text)
    assert not re.search(r"(?<!\\)[*_~#]|`|\]\(|\|\||<(?!\u200b)|(?<![^\W_])@\w|\\(?![*_~#\u200b])", escaped)
    shown = re.sub(r"\\([*_~#])", r"\1", escaped).replace("\u200b", "").replace(LOOKALIKE, "`")
    assert shown == readable(text).replace("\u200b", "").replace(LOOKALIKE, "`")
