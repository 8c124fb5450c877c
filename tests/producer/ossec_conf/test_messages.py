"""Errors and warnings: they say where, why and what to write instead, and never contain a secret."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from producer.ossec_conf import Configuration, parse_ossec_conf
from producer.ossec_conf.elements import REQUIRED
from producer.ossec_conf.placeholders import looks_like_placeholder

HOOK = "<name>slack</name><hook_url>https://x/s3cr3t</hook_url><alert_format>json</alert_format>"


def read(block: str, attributes: str = "") -> Configuration:
    text = f"<ossec_config>\n<integration{attributes}>\n{block}\n</integration>\n</ossec_config>"
    return parse_ossec_conf(text.encode("utf-8", "surrogateescape"), file="ossec.conf")


def refusals(block: str, attributes: str = "") -> list[str]:
    configuration = read(block, attributes)
    assert configuration.integrations == ()
    assert "s3cr3t" not in f"{configuration}"
    return [str(error) for error in configuration.refused]


def warnings(block: str) -> list[str]:
    configuration = read(block)
    assert configuration.refused == ()
    assert "s3cr3t" not in f"{configuration}"
    return [str(warning) for warning in configuration.warnings]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("<level>1</level>", "ossec.conf:2: <integration>: has no <name>: add one of slack, pagerduty"),
        ("<name>Slack</name>", '3: <name>: "Slack" is not supported: write slack, exactly so'),
        ("<name> custom-a</name>", '3: <name>: " custom-a" is not supported: write custom-a,'),
        ("<name>webhok</name>", '3: <name>: "webhok" is not supported: write slack, pagerduty, virustotal, '),
        ("<name>teams</name>", 'courier.toml, [integrations.teams], with service = "teams"'),
        ("<name>slack</name>", "2: <hook_url>: is missing: slack needs it; add <hook_url>…</hook_url> to the block"),
        ("<name>pagerduty</name>", "2: <api_key>: is missing: pagerduty needs it"),
        (HOOK + "<level>+3</level>", '3: <level>: "+3" is not a number: write digits only'),
        (HOOK + "<level>٣</level>", "is not a number"),
        (HOOK + "\n<level>x</level><level>3</level>", '4: <level>: "x" is not a number'),
        (HOOK + "<timeout>10s</timeout>", '<timeout>: "10s" is not a number'),
        (HOOK + "<retries>-1</retries>", '<retries>: "-1" is not a number'),
        (HOOK + "<max_log>164</max_log>", '<max_log>: "164" is out of range: write a number from 165 to 1024'),
        (HOOK + "<max_log/>", '<max_log>: "" is out of range'),
        (HOOK + "<rule_id>!5710</rule_id>", "<rule_id>: does not begin with a number, which for the stock daemon"),
        (HOOK + "<rule_id>\t5710</rule_id>", "<rule_id>: does not begin with a number"),
        (
            HOOK + "<api-key>s3cr3t</api-key>",
            "<api-key>: is not an option of an integration: write <api_key> or remove it",
        ),
        (HOOK + "<LEVEL/>", "<LEVEL>: is not an option of an integration: write <level>"),
        (HOOK + "<zzz/>", "<zzz>: is not an option of an integration: write one of name, hook_url"),
        (HOOK + "<options/>", "<options>: is not JSON (line 1, column 1 of the text): write an object such as {}"),
        (HOOK + "<options>\n{s3cr3t}</options>", "<options>: is not JSON (line 2, column 2 of the text)"),
        (HOOK + r'<options>{"a":"\<s3cr3t\>"}</options>', r"; write < as \u003c"),
        (HOOK + '<options>"s3cr3t"</options>', "<options>: is JSON, but not an object"),
        (HOOK + "<options>5</options>", "is JSON, but not an object"),
        (HOOK + "<options>[[1,2]]</options>", "is JSON, but not an object"),
        (HOOK + '<options>[{"s3cr3t":1}]</options>', "is JSON, but not an object"),
        (HOOK + f"<options>{'[' * 9000}</options>", "is not JSON"),
        (HOOK + f"<group>{'g' * 20480}</group>", "<group>: is longer than 20479 bytes"),
        (HOOK + "<api_key>s3cr3t\udce9</api_key>", "<api_key>: holds a control character or is not UTF-8"),
        (HOOK + "<api_key>s3cr3t\0</api_key>", "<api_key>: holds a control character"),
        (HOOK + "<hook_url>x/s3cr3t</hook_url>", "<hook_url>: is not a URL: write the whole URL, from https:// on"),
        (HOOK + "<hook_url>ftp://s3cr3t</hook_url>", "<hook_url>: is not a URL"),
        (HOOK + "<hook_url>https://</hook_url>", "<hook_url>: is not a URL"),
        (HOOK + "<hook_url>http://[s3cr3t/</hook_url>", "<hook_url>: is not a URL"),
        (HOOK + "<hook_url>http://a:s3cr3t/</hook_url>", "<hook_url>: is not a URL"),
        (HOOK + "<hook_url>$HOOK</hook_url>", "variables such as $NAME are not replaced"),
        (
            HOOK + "<hook_url>http://x/a<s3cr3t</hook_url>",
            r"3: <hook_url>: holds a bare <: in JSON write \u003c, in a URL %3C",
        ),
        (HOOK + "<api_key>a<s3cr3t>b</api_key>", "3: <api_key>: holds text in angle brackets: replace a placeholder"),
        (HOOK + "\n<api_key>s3cr3t\\</api_key>", "<api_key> of line 4 is not closed; a value may not hold a bare <"),
    ],
)
def test_refusals(block: str, message: str) -> None:
    assert any(message in text for text in refusals(block)), refusals(block)


def test_all_errors_are_reported_at_once_and_in_order() -> None:
    texts = refusals("<name>maltiverse</name>\n<level>x</level>\n<foo/>\n<rule_id>y</rule_id>")
    assert sorted(text.partition(" is ")[0].partition(" does ")[0] for text in texts) == [
        "ossec.conf:2: <api_key>:",
        "ossec.conf:2: <hook_url>:",
        'ossec.conf:4: <level>: "x"',
        "ossec.conf:5: <foo>:",
        "ossec.conf:6: <rule_id>:",
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("so c", 'id="so c" is not an id: write 1 to 64 letters, digits, _, . and -'),
        ("", 'id="" is not an id'),
        ("manager", 'id="manager" is reserved: write another id'),
    ],
)
def test_bad_ids(wanted: str, message: str) -> None:
    (text,) = refusals(HOOK, f' id="{wanted}"')
    assert text.startswith(f"ossec.conf:2: <integration>: {message}")


def test_duplicate_explicit_id_is_refused() -> None:
    block = f'<integration id="soc">{HOOK}</integration>'
    configuration = parse_ossec_conf(f"<ossec_config>\n{block}\n{block}\n</ossec_config>".encode(), file="f")
    assert [integration.id for integration in configuration.integrations] == ["soc"]
    (error,) = configuration.refused
    assert str(error).startswith('f:3: <integration>: id="soc" is the id of an earlier block')


@pytest.mark.parametrize("options", ["{}", "[]", "null", "0", "0.0", '""', "false", '[["a",1]]', '["ab"]'])
def test_valid_options(options: str) -> None:
    assert warnings(HOOK + f"<options>{options}</options>") == []


def test_options_may_have_an_integer_of_any_length() -> None:
    assert warnings(f'{HOOK}<options>{{"a":{"9" * 5000}}}</options>') == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_invalid_options(number: str) -> None:
    (text,) = refusals(HOOK + f'<options>{{"a":{number}}}</options>')
    assert "<options>: is not JSON that can be read" in text


@pytest.mark.parametrize("options", ["", "text", "5"])
def test_options_of_custom_scripts_are_not_checked(options: str) -> None:
    assert warnings(f"<name>custom-a</name><options>{options}</options>") == []


@pytest.mark.parametrize(
    "url", ["https://user:p@ss@host:8080/x", "http://ñ.example/é", "http://x/#frag", "http://x/]]>", "http://[::1]:80"]
)
def test_valid_hook_urls(url: str) -> None:
    assert warnings(f"<name>slack</name><hook_url>{url}</hook_url><alert_format>json</alert_format>") == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (HOOK + "<rule_id/>", "ossec.conf:3: <rule_id>: is empty, which means no filter: alerts of every rule pass"),
        (HOOK + "<rule_id>0</rule_id>", "<rule_id>: is 0, which is not a rule: no alert passes"),
        (HOOK + "<rule_id>5710;5712</rule_id>", "<rule_id>: is only read in part: only 5710 counts"),
        (HOOK + "<rule_id>5710,\n5712</rule_id>", "<rule_id>: is only read in part: only 5710 counts"),
        (HOOK + "<group/>", "<group>: is empty: no alert passes"),
        (HOOK + "<group>a, b</group>", "<group>: has spaces or line breaks at an item, and they count: write a,b"),
        (HOOK + "<group>a|b</group>", "<group>: has a | in it"),
        (HOOK + "<level>17</level>", "<level>: no rule has a level above 16"),
        (HOOK + "<alert_format>full</alert_format>", "<alert_format>: is not json: the stock script would fail"),
        (HOOK + "<hook_url>https://s3cr3t/?a=1&amp;b=2</hook_url>", "<hook_url>: has an entity such as &amp; in it"),
        ("<name>pagerduty</name><api_key/>", "<api_key>: is empty: the service will refuse it"),
        (
            "<name>pagerduty</name><api_key> s3cr3t</api_key>",
            "<api_key>: has spaces or line breaks around it; Courier removes",
        ),
        ("<name>virustotal</name><api_key>k</api_key><options>x</options>", "<options>: has no effect: virustotal"),
        ("<name>virustotal</name><api_key>k</api_key><timeout>0</timeout>", "<timeout>: leaves no time"),
        ("<name>virustotal</name><api_key>k</api_key><retries>2147483648</retries>", "<retries>: exceeds 2147483647"),
        ("<name>custom-a\n</name>", "<name>: has spaces or line breaks at its ends"),
        (
            HOOK + "<group>a<b/>c</group>",
            "<group>: holds an element (a placeholder?), so only the text behind it counts",
        ),
        (HOOK + "<group><![CDATA[a]]></group>", "ossec.conf:3: CDATA is read as text here, but the stock daemon"),
    ],
)
def test_warnings(block: str, message: str) -> None:
    assert any(message in text for text in warnings(block)), warnings(block)


@pytest.mark.parametrize("block", [HOOK, HOOK + "<rule_id> 5710 , 5712, </rule_id>", HOOK + "<group>a,b,</group>"])
def test_plain_block_has_no_warnings(block: str) -> None:
    assert warnings(block) == []


@pytest.mark.parametrize(
    ("around", "message"),
    [
        ('<?xml version="1.0"?>\n<ossec_config>{}</ossec_config>', "f:1: <?xml …?> is skipped here"),
        (
            "<ossec_config>\n<global/>{}</ossec_config>",
            "f:2: <global>: has no elements in it; the stock daemon refuses",
        ),
        ("<ossec_config>{}</ossec_config>\n<foo/>", "f:2: <foo>: is not read, it is not <ossec_config>"),
        ("<ossec_config>{}\n<a><b></a></ossec_config>", "f:2: the file is not well-formed: an element of line 2 is"),
        ("<ossec_config>{}\n<a>x < y</a></ossec_config>", "f:2: the file is not well-formed: there is a bare <"),
        ("<ossec_config>{}</b></ossec_config>", "f:1: the file is not well-formed: <ossec_config> of line 1"),
        ("</ossec_config><ossec_config>{}</ossec_config>", "an element is closed that was not opened"),
    ],
)
def test_warnings_about_the_rest_of_the_file(around: str, message: str) -> None:
    text = around.replace("{}", f"<integration>{HOOK}</integration>")
    configuration = parse_ossec_conf(text.encode(), file="f")
    assert len(configuration.integrations) == 1
    assert [message in str(warning) for warning in configuration.warnings] == [True]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "<integrations><name>x</name></integrations>",
            "f:2: <integrations>: is not a section of ossec.conf: write <int",
        ),
        (
            "<integrator><name>x</name></integrator>",
            "f:2: <integrator>: is not a section of ossec.conf: write <integration",
        ),
        (
            "<Integration><name>x</name></Integration>",
            "f:2: <Integration>: is not a section of ossec.conf: write <integra",
        ),
        ("<INTEGRATION/>", "f:2: <INTEGRATION>: is not a section of ossec.conf: write <integration>"),
        (
            "<foo><a>1</a></foo>",
            "f:2: <foo>: is not a known section of ossec.conf and is not read; the stock daemon refuses",
        ),
        ("<globals><a>1</a></globals>", "refuses a file with one; did you mean <global>?"),
        ("<global><integration><name>x</name></integration></global>", "f:2: <integration>: is inside <global>"),
        ("<integrations><name>x</integrations>", "f:2: <integrations>: is not a section of ossec.conf"),
    ],
)
def test_unknown_sections(section: str, message: str) -> None:
    text = f"<ossec_config>\n{section}\n<integration>{HOOK}</integration></ossec_config>"
    configuration = parse_ossec_conf(text.encode(), file="f")
    assert len(configuration.integrations) == 1
    assert any(message in str(warning) for warning in configuration.warnings), configuration.warnings


def test_sections_of_a_stock_file_are_known() -> None:
    sections = ("<global><a>1</a></global>", "<wodle name='x'><a>1</a></wodle>", "<vulnerability-detection><a/></v")
    text = f"<ossec_config>{sections[0]}{sections[1]}{sections[2]}ulnerability-detection></ossec_config>"
    assert parse_ossec_conf(text.encode(), file="f").warnings == ()


NEVER_FILLED_IN = [
    *("<YOUR_KEY>", "<HOOK>", "<YOUR KEY HERE>", "<your-key>", "<API KEY>", "<key/>"),
    *(
        "YOUR_API_KEY",
        "API_KEY",
        "VIRUSTOTAL_API_KEY",
        "your-key-here",
        "[API_KEY]",
        "{{ key }}",
        "%KEY%",
        "${API_KEY}",
    ),
    *("xxxxxxxxxxxx", "XXXX", "...", "changeme", "0000000000000000", "INSERT KEY HERE", "$API_KEY"),
]
NEVER_FILLED_IN_ADDRESSES = [
    *(
        "https://hooks.slack.com/services/...",
        "https://hooks.slack.com/services/",
        "https://hooks.slack.com/services/T0/B0",
    ),
    *("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX", "https://YOUR_HOST/hook", "<WEBHOOK>"),
    *(
        "https://<HOST>/hook",
        "http://<IP>:<PORT>/x",
        "https://example.com/hook",
        "https://soar/hooks/WEBHOOK_ID",
        "WEBHOOK",
    ),
    *("https://hooks.slack.com/services/<TOKEN>", "https://soar/{token}", "YOUR_WEBHOOK_URL"),
]


@pytest.mark.parametrize(
    ("element", "value"),
    [*(("api_key", key) for key in NEVER_FILLED_IN), *(("hook_url", url) for url in NEVER_FILLED_IN_ADDRESSES)],
)
def test_placeholders_are_reported_with_their_element(element: str, value: str) -> None:
    name = "pagerduty" if element == "api_key" else "slack"
    block = f"<name>{name}</name>\n<{element}>{value}</{element}><alert_format>json</alert_format>"
    text = f"<ossec_config>\n<integration>\n{block}\n</integration>\n</ossec_config>"
    configuration = parse_ossec_conf(text.encode(), file="f")
    said = [text for text in map(str, [*configuration.refused, *configuration.warnings]) if "placeholder" in text]
    assert any(one.startswith(f"f:4: <{element}>: ") for one in said), configuration


@given(
    key=st.one_of(
        st.from_regex(r"[0-9a-f]{32}|[0-9a-f]{64}|[A-Za-z0-9_-]{20,40}[0-9]", fullmatch=True),
        st.sampled_from(["user:p4ssw0rd", "SOC", "PROJ", "R0UT1NGK3Y", "a1b2c3d4e5f6", "k", "xoxb-123-abc"]),
    )
)
def test_real_keys_are_not_placeholders(key: str) -> None:
    assume(len(set(key)) > 3 or len(key) < 5)
    assert not looks_like_placeholder(key) or key.lower().startswith(("your", "my", "insert", "enter", "put", "add"))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://hooks.slack.com/services/T024BE7LD/B12345/aBcD1234eFgH",
            "https://hooks.slack.com/workflows/T1/A1/1/x",
        ),
        *("http://10.0.0.9:3001/api/v1/hooks/webhook_abc", "https://shuffler.io/api/v1/hooks/webhook_1b2c-33"),
        *("https://x/s3cr3t?a=1&b=2", "https://outlook.office.com/webhook/11-22@33/IncomingWebhook/44/55"),
        *("https://your-server.de/hook", "https://api.maltiverse.com", "https://thehive.example.corp:9000"),
    ],
)
def test_real_addresses_are_not_placeholders(url: str) -> None:
    assert not looks_like_placeholder(url)


def test_repeated_elements() -> None:
    (text,) = warnings(HOOK + "<level>3</level><level>12</level>")
    assert text == 'ossec.conf:3: <level>: occurs 2 times in this block: the last one, "12", counts; remove the others'
    assert warnings(HOOK + "<rule_id>1</rule_id><rule_id>2</rule_id>") == []
    (secret,) = warnings(HOOK + "<api_key>s3cr3t</api_key><api_key>k</api_key>")
    assert "<api_key>: occurs 2 times in this block: the last one counts" in secret


def test_only_stock_names_have_a_stock_script() -> None:
    texts = [text for name in ("custom-teams", *REQUIRED) for text in warned(name) if "stock script" in text]
    assert len(texts) == len(REQUIRED)


def warned(name: str) -> list[str]:
    return warnings(f"<name>{name}</name><hook_url>https://x/y</hook_url><api_key>k</api_key>")
