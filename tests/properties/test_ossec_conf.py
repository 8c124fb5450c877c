"""For any file: only ConfigError is raised, written blocks are read back, and an invalid block or another order does
not change the other blocks.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.integration import Integration
from common.secret import Secret
from producer.ossec_conf import parse_ossec_conf
from producer.ossec_conf.integration_ids import check_id

PIECES = [
    *(b"<", b">", b"/", b"!", b"-", b"-->", b"<!--", b"<!", b"!>", b"\\", b"&", b"&amp;", b"\n", b"\r", b"\0", b"\xff"),
    *(b"<ossec_config>", b"</ossec_config>", b"<integration>", b"</integration>", b"<integration/>", b"<integration "),
    *(b"<name>slack</name>", b"<name>custom-a</name>", b"<name>", b"</name>", b"<level>", b"3", b"</level>", b"<b/>"),
    *(b'id="soc"', b"a='b'", b"=", b'"', b" ", b"<![CDATA[", b"]]>", b"<?xml ", b"?>", b"<var>", b"</var>", b"x", b":"),
    *(b"<hook_url>https://x/</hook_url>", b"<rule_id>", b"</rule_id>", b"<options>", b"</options>", b"\xc3\xa9"),
]
letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<\\\ufdd0\ufffe\uffff")
values = st.text(letters | st.sampled_from("\n\t\r&;!->'\"]"), max_size=20).filter(lambda text: "\\" not in text)
numbers = st.integers(0, 2**31 - 1)
blocks = st.fixed_dictionaries(
    {"name": st.sampled_from(["slack", "shuffle", "custom-a", "custom-b", "custom-a b"])},
    optional={
        "api_key": values,
        "level": st.integers(0, 2**32 - 1),
        "rule_id": st.lists(st.integers(1, 99_999), min_size=1, max_size=3),
        "group": values,
        "event_location": values,
        "alert_format": st.sampled_from(["json", "full", ""]),
        "max_log": st.integers(165, 1024),
        "timeout": numbers,
        "retries": numbers,
        "id": st.integers(0, 9).map("id-{}".format),
    },
).flatmap(lambda block: st.builds(lambda n: block | {"hook_url": f"https://x/{n}"}, st.integers(0, 2)))
files = st.lists(blocks, max_size=5, unique_by=lambda block: str(sorted((k, v) for k, v in block.items() if k != "id")))
unnamed = files.map(lambda there: [{key: value for key, value in block.items() if key != "id"} for block in there])
BROKEN = [
    "<level>x</level>",
    "<foo/>",
    "<rule_id/><max_log/>",
    "<retries>",
    "</name>",
    "<api_key>a<</api_key>",
    "<max_log>1</max_log>",
]
around = st.sampled_from(
    ["", "\n", " x ", "<!-- <integration> -->", "<global><a>\\<</a></global>", "<a><b></a>", "</z>"]
)


def write(block: dict[str, Any], *, broken: str = "") -> str:
    attribute = f' id="{block["id"]}"' if "id" in block else ""
    texts = {name: value for name, value in block.items() if name != "id"}
    if "rule_id" in texts:
        texts["rule_id"] = ", ".join(map(str, texts["rule_id"]))
    children = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    return f"<integration{attribute}>{children}{broken}</integration>"


def read(blocks: list[str], between: str = "") -> tuple[Integration, ...]:
    text = f"<ossec_config>{between}{between.join(blocks)}</ossec_config>"
    return parse_ossec_conf(text.encode(), file="f").integrations


BLANKS = "".join(c for c in map(chr, range(0x10000)) if c.isspace()) + "\u200b\u2060\ufeff"
"""What is removed around a hook or a key (D20)."""


def expected(block: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that the integration of this block must have."""
    fields = {{"rule_id": "rule_ids", "timeout": "timeout_s"}.get(name, name): value for name, value in block.items()}
    fields |= {name: Secret(fields[name].strip(BLANKS)) for name in ("hook_url", "api_key") if name in fields}
    if "rule_ids" in fields:
        fields["rule_ids"] = tuple(fields["rule_ids"])
    return fields


def have_different_ids(there: list[dict[str, Any]]) -> bool:
    return len({block.get("id", at) for at, block in enumerate(there)}) == len(there)


@given(st.binary() | st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
def test_nothing_but_a_config_error_is_raised(content: bytes) -> None:
    with suppress(ConfigError):
        configuration = parse_ossec_conf(content, file="f")
        last = content.count(b"\n") + 1
        lines = [*(i.line for i in configuration.integrations), *(e.line for e in configuration.refused)]
        assert all(line is not None and 1 <= line <= last for line in lines)
        assert all(1 <= warning.line <= last for warning in configuration.warnings)
        ids = [integration.id for integration in configuration.integrations]
        assert len(set(ids)) == len(ids)
        for name in ids:
            check_id(name)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_blocks_are_read_whatever_follows_them(junk: bytes) -> None:
    blocks = b"<ossec_config><integration><name>custom-first</name></integration>"
    if junk.count(b"<integration") + junk.count(b"</integration"):
        return
    integrations = parse_ossec_conf(blocks + junk, file="f").integrations
    assert [integration.name for integration in integrations] == ["custom-first"]


@given(files.filter(bool).filter(have_different_ids), around)
def test_written_blocks_are_read_back(there: list[dict[str, Any]], between: str) -> None:
    found = read([write(block) for block in there], between)
    assert len(found) == len(there)
    for integration, block in zip(found, there, strict=True):
        fields = msgspec.structs.asdict(integration)
        wanted = msgspec.structs.asdict(Integration(**{"id": integration.id, "file": "f", **expected(block)}))
        assert fields | {"line": 0} == wanted
        slug = re.sub(r"[^A-Za-z0-9_.-]", "_", block["name"])
        assert "id" in block or re.fullmatch(rf"{slug}(-[0-9a-f]{{6}})?", integration.id)


@given(unnamed, st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order(there: list[dict[str, Any]], random: Any) -> None:
    texts = [write(block) for block in there]
    before = dict(zip(texts, (integration.id for integration in read(texts)), strict=True))
    random.shuffle(texts)
    assert before == dict(zip(texts, (integration.id for integration in read(texts)), strict=True))


@given(unnamed.filter(bool), st.data(), st.sampled_from(BROKEN), around)
def test_broken_block_does_not_change_the_others(
    there: list[dict[str, Any]], data: st.DataObject, broken: str, between: str
) -> None:
    texts = [write(block) for block in there]
    at = data.draw(st.integers(0, len(there) - 1))
    before = read(texts, between)
    after = read([*texts[:at], write(there[at], broken=broken), *texts[at + 1 :]], between)
    assert after == (*before[:at], *before[at + 1 :])
