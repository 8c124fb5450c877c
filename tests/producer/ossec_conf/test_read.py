"""Values, structure and syntax errors of ossec.conf. For errors and warnings see test_messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.integration import Integration
from common.secret import Secret
from producer.ossec_conf import MAX_FILE_BYTES, Configuration, parse_ossec_conf, read_ossec_conf

WHOLE = """<ossec_config>
  <global>
    <jsonout_output>yes</jsonout_output>
  </global>
  <integration>
    <name>custom-thing</name>
    <hook_url>http://x</hook_url>
    <api_key>k</api_key>
    <level>10</level>
    <rule_id>1,2</rule_id>
    <group>a,b</group>
    <event_location>!EventChannel</event_location>
    <alert_format>json</alert_format>
    <max_log>500</max_log>
    <timeout>5</timeout>
    <retries>1</retries>
    <options>{"a":1}</options>
  </integration>
</ossec_config>
"""


def parse(text: str) -> Configuration:
    return parse_ossec_conf(text.encode("utf-8", "surrogateescape"), file="ossec.conf")


def one(block: str) -> Integration:
    """Read one block, which must be valid."""
    configuration = parse(f"<ossec_config><integration><name>custom-a</name>{block}</integration></ossec_config>")
    assert configuration.refused == ()
    (integration,) = configuration.integrations
    return integration


def key(text: str) -> str | None:
    """Return the value that is read for this text of an api_key."""
    secret = one(f"<api_key>{text}</api_key>").api_key
    return None if secret is None else secret.reveal()


def names(text: str) -> list[str]:
    return [integration.name for integration in parse(text).integrations]


def test_complete_block() -> None:
    assert parse(WHOLE).integrations == (
        Integration(
            id="custom-thing",
            name="custom-thing",
            hook_url=Secret("http://x"),
            api_key=Secret("k"),
            level=10,
            rule_ids=(1, 2),
            group="a,b",
            event_location="!EventChannel",
            alert_format="json",
            max_log=500,
            options=Secret('{"a":1}'),
            timeout_s=5,
            retries=1,
            file="ossec.conf",
            line=5,
        ),
    )


def test_defaults() -> None:
    assert one("") == Integration(id="custom-a", name="custom-a", file="ossec.conf", line=1)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a&b", "a&b"),
        ("&amp;&#60;", "&amp;&#60;"),
        (" \r\n\t k \t l ", "k \t l"),  # D20
        (r"a\<b", r"a\<b"),
        (r"a\\", r"a\\"),
        (r"a\>b]]>", r"a\>b]]>"),
        ("a<!-- x -->b<! y !>c<!-- z !>d<! > -->e", "abcde"),
        ("a<b>c</b>d<e/>f", "f"),
        ("a<b>c</b>", ""),
        ('<![CDATA[{"a":"<b>&"}]]>', '{"a":"<b>&"}'),
        ("ключ🔥", "ключ🔥"),
        ("$KEY", "$KEY"),
    ],
)
def test_values_are_verbatim_between_their_blanks(written: str, read: str) -> None:
    assert key(written) == read


@pytest.mark.parametrize("empty", ["<api_key/>", "<api_key></api_key>", '<api_key a="b"/>', "<api_key ></api_key>"])
def test_empty_element_is_not_a_missing_one(empty: str) -> None:
    assert one(empty).api_key == Secret("")
    assert one("").api_key is None


def test_last_repeated_element_counts_and_rule_ids_accumulate() -> None:
    block = one("<level>3</level><level>12</level><rule_id>1,2</rule_id><rule_id>3</rule_id>")
    assert (block.level, block.rule_ids) == (12, (1, 2, 3))


def test_attributes_and_variables_are_ignored() -> None:
    block = one('<var name="K">v</var><VAR>w</VAR><level a="x<y" b = >7</level>'.replace(" b = ", " b= 'c'"))
    assert block.level == 7


@pytest.mark.parametrize("attribute", ['="b"', "='b'", '="b" c="d"', '1="2"', 'a:b="c:d="', 'a$="b"'])
def test_attribute_may_have_any_name_or_none(attribute: str) -> None:
    assert one(f"<level {attribute}>7</level>").level == 7
    assert not parse(f"<ossec_config {attribute}><integration id='x' {attribute}/></ossec_config>").syntax_error


@pytest.mark.parametrize("attribute", ['="b" ="c"', '1="2" 1="2"', "a"])
def test_attribute_repeated_or_without_a_value_is_refused(attribute: str) -> None:
    block = f"<integration {attribute}><name>custom-x</name></integration>"
    assert parse(f"<ossec_config>{block}</ossec_config>").refused


def test_greater_than_in_an_attribute_is_read_with_a_warning() -> None:
    text = '<ossec_config>\n<integration a="x>y"><name>custom-x</name></integration></ossec_config>'
    found = parse(text)
    assert [(one.name, str(warning)) for one, warning in zip(found.integrations, found.warnings, strict=True)] == [
        (
            "custom-x",
            "ossec.conf:2: > in an attribute's value is read here, but the stock daemon refuses the file because of it",
        )
    ]


def test_comment_may_be_inside_a_tag() -> None:
    assert one("<le<!-- c -->vel>7</level>").level == 7


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("1, 2 ,,3", (1, 2, 3)),
        ("3;4,5", (3, 5)),
        ("3-9,5", (3, 5)),
        ("5,x7,8", (5,)),
        ("5,0,7", (5, 7)),
        ("0", ()),
        ("", None),
        (" , ", None),
        ("\n  ", None),
        ("5710,\n5711", (5710,)),
        ("0005710", (5710,)),
        ("4294967297", (1,)),
        ("9" * 5000, (2**32 - 1,)),
    ],
)
def test_rule_ids(text: str, ids: tuple[int, ...] | None) -> None:
    assert one(f"<rule_id>{text}</rule_id>").rule_ids == ids


@pytest.mark.parametrize(
    ("text", "level", "timeout_s"),
    [
        ("", 0, 0),
        ("007", 7, 7),
        ("4294967295", 2**32 - 1, -1),
        ("4294967296", 0, 0),
        ("2147483648", 2**31, -(2**31)),
        ("9" * 5000, 2**32 - 1, -1),
    ],
)
def test_numbers_wrap_at_32_bits(text: str, level: int, timeout_s: int) -> None:
    block = one(f"<level>{text}</level><timeout>{text}</timeout><retries>{text}</retries>")
    assert (block.level, block.timeout_s, block.retries) == (level, timeout_s, timeout_s)


@pytest.mark.parametrize("text", ["165", "1024", "0200"])
def test_max_log(text: str) -> None:
    assert one(f"<max_log>{text}</max_log>").max_log == int(text)


# Structure


BLOCKS = [f"<integration><name>custom-{letter}</name></integration>" for letter in "abc"]
A, B, C = BLOCKS


@pytest.mark.parametrize(
    "text",
    [
        f"<ossec_config>{A}{B}{C}</ossec_config>",
        f"\ufeffx<ossec_config>{A}</ossec_config> y <ossec_config>z{B}\r\n{C}</ossec_config>",
        f'<ossec_config xmlns="urn:x" a:b="c"><p:q/>{A}{B}{C}</ossec_config>',
        f'<?xml version="1.0"?><ossec_config>{A}{B}{C}</ossec_config>',
        f"<ossec_config><wodle>{A.replace('custom-a', 'no')}</wodle>{A}{B}{C}</ossec_config>",
        f"<ossec_config>{A}{B}{C}</ossec_config><agent_config>{A}</agent_config>",
        f"<ossec_config><global>{'<a>' * 900}{'</a>' * 900}</global>{A}{B}{C}</ossec_config>",
        # damaged around the blocks
        f"<ossec_config><global><a></global>{A}{B}{C}</ossec_config>",
        f"<ossec_config>{A}<localfile><query>a < b</query></localfile>{B}{C}</ossec_config>",
        f"<ossec_config>{A}{B}{C}",
        f"</ossec_config><ossec_config>{A}{B}{C}</ossec_config>",
        f"<ossec_config>{A}</integration>{B}{C}<!-- open </ossec_config>",
        f"<ossec_config>{A}<localfile a=b></localfile>{B}{C}</ossec_config>",
        f"<ossec_config>{A}<{'a' * 9} é=é>{B}{C}</ossec_config>",
    ],
)
def test_blocks_are_found_in_file_order(text: str) -> None:
    assert names(text) == ["custom-a", "custom-b", "custom-c"]
    assert parse(text).refused == ()


@pytest.mark.parametrize(
    "bad",
    [
        "<integration/>",
        "<integration>text</integration>",
        "<integration><name>slack</integration>",
        "<integration><name>slack</name>",
        "<integration a><name>slack</name></integration>",
        '<integration a="b" a="c"><name>slack</name></integration>',
        "<integration><name>slack</NAME></integration>",
        "<integration><name>slack</name ></integration>",
        "<integration><name a = 'b'>slack</name></integration>",
        "<integration><name>custom-d</name><api_key>a<</api_key></integration>",
        "<integration><name>custom-d</name><api_key>a<=b</api_key></integration>",
        "<integration><name>custom-d</name><api_key>a\\</api_key></integration>",
        "<integration><na\0me>custom-d</name></integration>",
        "<integration><name>custom-d</name><level>x</level></integration>",
    ],
)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_invalid_block_is_refused_and_the_others_are_read(bad: str, at: int) -> None:
    blocks = [*BLOCKS[:at], bad, *BLOCKS[at:]]
    configuration = parse("<ossec_config>\n" + "\n".join(blocks) + "\n</ossec_config>")
    assert [integration.name for integration in configuration.integrations] == ["custom-a", "custom-b", "custom-c"]
    assert {error.line for error in configuration.refused} <= {at + 2, at + 3}
    assert configuration.refused


def test_line_numbers_are_those_of_the_file() -> None:
    text = '<?xml version="1.0"?>\r\n<!-- a\n\n --><ossec_config><gl<!--\n-->obal\n>x</global>'
    text += "<![CDATA[\n]]>\n<integration><name>custom-a</name>\n<level>x</level></integration></ossec_config>"
    before = text.partition("<level>")[0].count("\n") + 1
    (error,) = parse(text).refused
    assert (error.line, error.element) == (before, "level")


def test_line_numbers_above_16_bits() -> None:
    text = "<ossec_config>" + "\n" * 70_000 + f"{A}</ossec_config>"
    assert parse(text).integrations[0].line == 70_001


def test_no_integration_is_not_an_error() -> None:
    assert parse("<ossec_config/>") == Configuration()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no <ossec_config>"),
        ("hello", "has no <ossec_config>"),
        (f"<agent_config>{A}</agent_config>", "has no <ossec_config>"),
        (f"<root><ossec_config>{A}</ossec_config></root>", "has no <ossec_config>"),
        ("<ossec_config>\n<global>", "f:2: is not well-formed: an element of line 2"),
        ("<ossec_config>\n<!-- x", "f:2: is not well-formed: a comment is not closed"),
        (f"<agent_config>{A}<b></agent_config>", "is not well-formed"),
        ("<a>" * 3000, "nested too deep"),
    ],
)
def test_file_that_is_not_an_ossec_conf_is_one_error(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_ossec_conf(text.encode(), file="f")
    assert problem in str(refused.value)


# Files


def test_existing_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ossec.conf"
    path.write_text(WHOLE)
    assert read_ossec_conf(path).integrations[0].file == str(path)


def test_unreadable_files(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    utf_16 = tmp_path / "utf-16"
    utf_16.write_text(WHOLE, "utf-16")
    for path, problem in [
        (tmp_path / "none", "there is no such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (Path("a\0b"), "cannot be read"),
        (large, "is larger than 4 MiB"),
        (tmp_path / "pipe", "is a pipe"),
        (utf_16, "save it as UTF-8"),
    ]:
        with pytest.raises(ConfigError, match=problem):
            read_ossec_conf(path)
