"""Generated cases, of kinds that are rare in the recorded vectors: what the stock Integrator does with them
is what the specification says.

Each function yields the cases of one family. Those of `deliveries` are completed by `stock_scripts`.
"""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.conformance.filters_argv import FILE, LONGEST_LINE_BYTES, NOISE, split
from tests.conformance.stock_scripts import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.case import Case

MD5 = "44d88612fea8a8f36de82e1278abb02f"
AGENT = {"id": "001", "name": "web01", "ip": "10.0.0.5"}
SYSCHECK = {"path": "/tmp/eicar.com", "md5_after": MD5, "sha1_after": "3395856ce81f2b7382dee72602f798b642f14140"}
PLAIN = {"name": "custom-a", "hook_url": None, "api_key": None, "level": 0, "max_log": 165, "rule_id": None}
PLAIN |= {"group": None, "event_location": None, "alert_format": None, "timeout": 10, "retries": 3, "options": None}
BLOCK_A = "<integration><name>custom-a</name></integration>"
BLOCK_B = "<integration><name>custom-b</name></integration>"


# configurations


def config() -> Iterator[Case]:
    """Integers beyond 32 bits, `rule_id` behind a line break, unknown sections, odd attributes."""
    yield from map(_config, *zip(*_integers(), strict=True))
    yield from map(_config, *zip(*_rule_ids(), strict=True))
    yield from map(_config, *zip(*_sections(), strict=True))
    yield from map(_config, *zip(*_attributes(), strict=True))


def _config(name: str, xml: str, blocks: list[dict[str, Any]] | str) -> Case:
    case = {"id": f"made-{name}", "class": "made", "xml": xml}
    if isinstance(blocks, str):
        return {**case, "outcome": "error", "error_text": blocks}
    return {**case, "outcome": "ok", "integrations": [{**PLAIN, "startup": "enabled", **block} for block in blocks]}


Row = tuple[str, str, list[dict[str, Any]] | str]


def _with(options: str, more: str = "") -> str:
    return f"<ossec_config><integration><name>custom-a</name>{options}</integration>{more}</ossec_config>"


def _integers() -> Iterator[Row]:
    """C keeps 32 bits of a number, and of one beyond 64 bits those of the largest (spec 1.3)."""
    for digits in ("4294967296", "4294967303", "2147483648", "18446744073709551615", "9" * 20, "4294967461"):
        kept = min(int(digits), 2**63 - 1) % 2**32
        signed = kept - 2**32 * (kept >= 2**31)
        yield f"level-{digits}", _with(f"<level>{digits}</level>"), [{"level": kept}]
        yield f"timeout-{digits}", _with(f"<timeout>{digits}</timeout>"), [{"timeout": signed}]
        yield f"retries-{digits}", _with(f"<retries>{digits}</retries>"), [{"retries": signed}]
        yield f"rule_id-{digits}", _with(f"<rule_id>7,{digits}</rule_id>"), [{"rule_id": [7, kept] if kept else [7]}]
        fits = 165 <= kept <= 1024
        wrong = f"Invalid value for element 'max_log': {digits}."
        yield (
            f"max_log-{digits}",
            _with(f"<max_log>{digits}</max_log>", BLOCK_B),
            [{"max_log": kept}, {"name": "custom-b"}] if fits else wrong,
        )


def _rule_ids() -> Iterator[Row]:
    """The scan stops at a line break, so no number is found behind one (spec 1.5)."""
    for name, blank in {"lf": "\n", "crlf": "\r\n", "tab": "\t", "indent": "\n      ", "comma": ",\n"}.items():
        text = f"<rule_id>{blank}5710,{blank}5712{blank}</rule_id>"
        yield f"rule_id-{name}", _with(text), [{}]
        yield f"rule_id-{name}-two-blocks", _with(text, BLOCK_B), [{}, {"name": "custom-b"}]
        yield f"rule_id-{name}-first", _with(f"{text}<rule_id>7</rule_id>"), [{"rule_id": [7]}]


def _sections() -> Iterator[Row]:
    """An element that no daemon knows is fatal, wherever it stands and whatever is in it (spec 1.2)."""
    contents = ("", "text", "<a>1</a>", "<name>custom-b</name>", BLOCK_B)
    for name, content in product(("foo", "integrations", "Integration", "integrator", "my-section"), contents):
        section, error = f"<{name} a='b'>{content}</{name}>", f"Invalid element in the configuration: '{name}'."
        places = (section, section + BLOCK_A, BLOCK_A + section, f"{section}{BLOCK_A}<bar><b>1</b></bar>")
        for at, inside in enumerate(places):
            yield f"{name}-{len(content)}-{at}", f"<ossec_config>{inside}</ossec_config>", error
        yield f"{name}-{len(content)}-top", f"<ossec_config>{BLOCK_A}</ossec_config>{section}", error
    at_the_top = "Invalid element in the configuration: 'integration'."
    yield "block-at-the-top", f"<ossec_config>{BLOCK_A}</ossec_config>{BLOCK_B}", at_the_top
    yield "block-behind-empty-root", f"<ossec_config/>{BLOCK_B}", at_the_top


def _attributes() -> Iterator[Row]:
    """Attributes are read and ignored, whatever their names; a `>` ends the tag, and with it the file."""
    for attribute in ('="b"', "='b'", '=""', 'a="b" ="c"', '1="2"', 'a:b="c"', 'a="x<y"'):
        for element in ("integration", "name"):
            yield f"on-{element} {attribute}", _with_attribute(element, attribute), [{}]
    for attribute in ('a="x>y"', "a='>'", 'a="b" c="x/>"'):
        error = "Error reading XML file 'etc/ossec.conf': XMLERR: Attribute not closed. (line 1)."
        for element in ("integration", "name", "ossec_config"):
            yield f"on-{element} {attribute}", _with_attribute(element, attribute), error


def _with_attribute(element: str, attribute: str) -> str:
    return _with("").replace(f"<{element}>", f"<{element} {attribute}>")


# lines with NUL bytes, and long command lines

ALERT = '{"rule":{"level":5,"id":"5710","groups":["sshd"]},"id":"b","location":"syscheck","full_log":"x"}'
NUL_INSIDE = {
    "before": f"\0{ALERT}",
    "many-before": f"\0\0 \0{ALERT}",
    "in-log": ALERT.replace('"x"', '"x\0y"'),
    "in-id": ALERT.replace('"b"', '"b\0"'),
    "in-rule-id": ALERT.replace("5710", "57\x0010"),
    "between": ALERT.replace(',"id":"b"', ',\0"id":"b"'),
}
"""The stock reader sees what is before the NUL byte (spec 2.4), which is no JSON."""

NUL_BEHIND = {"end": f"{ALERT}\0", "more": f"{ALERT}\0xyz", "alert": ALERT + "\0" + ALERT.replace('"b"', '"z"')}
"""Here it is the alert."""

DAMAGED = {
    "half": ALERT[:20] + ALERT,
    "half-in-a-text": ALERT[:-2] + ALERT,
    "two": ALERT + ALERT.replace('"b"', '"z"'),
    "garbage": f"{ALERT}xyz",
}
"""Lines that are no JSON as a whole, with a whole alert on them: the stock reader drops them (spec 2.4)."""

FIRES = _with("", BLOCK_B.replace("</name>", "</name><level>9</level>"))


def filters() -> Iterator[Case]:
    case = {"class": "made", "config": FIRES, "outcome": "ok", "accepted": False, "fired": []}
    for name, line in (NUL_INSIDE | DAMAGED).items():
        yield {**case, "id": f"made-nul-{name}", "alert": line}
    case |= {"accepted": True, "fired": [{"block": 0, "name": "custom-a"}]}
    for name, line in NUL_BEHIND.items():
        yield {**case, "id": f"made-nul-{name}", "alert": line}
    sizes = ((2100, 2100), (10, 4030), (4050, 50), (5000, 0))
    for random, (key, url) in product((1, 123456789, 1234567890, -2147483648), sizes):
        yield _long_arguments(random, key, url)


def _long_arguments(random: int, key: int, url: int) -> Case:
    """The daemon's command line ends after 4,094 bytes, the name of the alert file included (spec 4.3)."""
    texts = "k" * key, f"http://h/{'p' * url}"
    file = f"/tmp/custom-a-1772400000-{random}.alert"
    line = " ".join(["integrations", file, *texts, "", "", "10", "3"])[:LONGEST_LINE_BYTES]
    argv = [piece.replace(file, FILE) for piece in split(line + NOISE)]
    block = f"<api_key>{texts[0]}</api_key><hook_url>{texts[1]}</hook_url><alert_format>json</alert_format>"
    fired = {"block": 0, "name": "custom-a", "argv": argv, "options_file": None}
    case = {"id": f"made-long-{random}-{key}-{url}", "class": "argv", "config": _with(block), "alert": ALERT}
    return {**case, "outcome": "ok", "accepted": True, "fired": [fired]}


def alert_text() -> Iterator[Case]:
    blocks = [{"alert_format": "json", "max_log": 165}, {"alert_format": None, "max_log": 165}]
    case = {"class": "made", "blocks": blocks, "outcome": "ok"}
    text = "alertdate=''\nalertlocation='syscheck'\nruleid='5710'\nalertlevel='5'\nruledescription=''\n"
    text += "alertlog='x'\nsrcip=''"
    for name, line in (NUL_INSIDE | DAMAGED).items():
        yield {**case, "id": f"made-nul-{name}", "alert": line, "files": []}
    for name, line in NUL_BEHIND.items():
        yield {**case, "id": f"made-nul-{name}", "alert": line, "files": [{"content": f"{ALERT}\n"}, {"content": text}]}


def tail() -> Iterator[Case]:
    first, last = ALERT.replace('"b"', '"a"'), ALERT.replace('"b"', '"c"')
    for name, line in NUL_INSIDE.items():
        for what, delivered in {"drops-it": ["a", "c"], "waits-there": ["a"]}.items():
            yield _tail(f"{name}-{what}", f"{first}\n{line}\n{last}\n", delivered)
    for name, line in DAMAGED.items():
        yield _tail(name, f"{first}\n{line}\n{last}\n", ["a", "c"])
    for name, line in NUL_BEHIND.items():
        yield _tail(name, f"{first}\n{line}\n{last}\n", ["a", "b", "c"])


def _tail(name: str, text: str, delivered: list[str]) -> Case:
    ops = [{"op": "append", "text": text}, {"op": "settle"}]
    case = {"id": f"made-nul-{name}", "before_start": "", "ops": ops}
    return {**case, "delivered": delivered, "delivered_after_settle": [len(delivered)]}


# deliveries


def deliveries() -> Iterator[Case]:
    """What goes together: odd alerts with odd answers, settings and files."""
    for name, changes in _changes():
        for alert_name, alert in _alerts():
            case = {"alert": json.dumps(alert), "alert_file": "json", "queue": "ok", **changes}
            yield recorded({**case, "id": f"made-{case['integration']}-{alert_name}-{name}"})
    yield from _odd_values()


def _odd_values() -> Iterator[Case]:
    """Values that Courier does not look up, one with a NUL, and an address in capitals."""
    whole = dict(_alerts())["file"]
    dots = {**whole, "data": {"hostname": "."}, "syscheck": {**SYSCHECK, "md5_after": ".."}}
    long = {**whole, "data": {"hostname": "x" * 8000}, "syscheck": {**SYSCHECK, "md5_after": f"{MD5} {'x' * 8000}"}}
    odd = {"dots": dots, "long": long, "nul": {**whole, "data": {"hostname": "a\0b"}}}
    answers = {"virustotal": _virustotal_answers()["known"], "maltiverse": _maltiverse_answers()["known"]}
    config = {"hook_url": "https://mv.example", "api_key": "k", "options": None, "timeout": 10, "retries": 3}
    for (name, alert), (integration, responses) in product(odd.items(), answers.items()):
        case = {"integration": integration, "alert": json.dumps(alert), "alert_file": "json", "queue": "ok"}
        yield recorded({**case, "id": f"made-{integration}-{name}", "config": config, "responses": responses})
    config = {**config, "hook_url": "HTTPS://mv.example"}
    yield recorded(
        {**case, "id": "made-capitals", "config": config, "responses": responses, "alert": json.dumps(whole)}
    )


def _alerts() -> Iterator[tuple[str, dict[str, Any]]]:
    rule = {"level": 10, "description": "made", "id": "554", "groups": ["syscheck"]}
    whole = {"timestamp": "2024-05-11T12:29:19.905+0000", "rule": rule, "agent": AGENT, "manager": {"name": "m"}}
    whole |= {"id": "1715430559.1549653", "full_log": "x", "location": "syscheck"}
    file = {**whole, "syscheck": SYSCHECK}
    yield "plain", whole
    yield "file", file
    yield "file-no-agent", {name: value for name, value in file.items() if name != "agent"}
    yield "file-no-name", {**file, "agent": {"id": "001"}}
    yield "file-no-path", {**file, "syscheck": {"md5_after": MD5}}
    yield "slash", {**whole, "data": {"hostname": "a.example/b?c#d", "srcip": "8.8.4.4"}}
    yield "odd", {**whole, "syscheck": {"md5_after": 5}, "data": {"hostname": "100%/x", "srcip": 134744072}}


def _changes() -> Iterator[tuple[str, Case]]:
    yield from _of("virustotal", {"api_key": "k"}, _virustotal_answers(), {"timeout": (10, 0), "retries": (3, -1)})
    urls = (
        "https://mv.example",
        "https://mv.example/?a=1",
        "https://mv.example/v1?k=x&y=",
        "https://mv.example/#x",
        "HTTPS://mv.example",
    )
    yield from _of("maltiverse", {"api_key": "k"}, _maltiverse_answers(), {"hook_url": urls})
    ok = {"ok": [{"status": 200, "body": "ok"}]}
    ok |= {
        str(status): [{"status": status, "headers": {"Location": "/elsewhere"}, "body": ""}] for status in (302, 500)
    }
    options: tuple[str, ...] = (
        '{"a":1e400}',
        '{"a":{"b":[-1e999,1]}}',
        '[["a",1e309]]',
        '{"a":Infinity}',
        '{"dedup_key":1e400}',
    )
    options += tuple(f'{{"dedup_key":{sign}{"9" * 5000}}}' for sign in ("", "-"))
    for name, settings in {"slack": "hook_url", "shuffle": "hook_url", "pagerduty": "api_key"}.items():
        yield from _of(name, {settings: "https://hook.example/x"}, ok, {"options": options})


def _of(
    name: str, settings: dict[str, Any], answers: dict[str, Any], choices: dict[str, tuple[Any, ...]]
) -> Iterator[tuple[str, Case]]:
    usual = {"hook_url": None, "api_key": None, "options": None, "timeout": 10, "retries": 3, **settings}
    for (what, responses), values in product(answers.items(), product(*choices.values())):
        config = {**usual, **dict(zip(choices, values, strict=True))}
        yield f"{what}-{values}", {"integration": name, "config": config, "responses": responses}
    first = next(iter(answers.values()))
    config = {**usual, **{choice: values[0] for choice, values in choices.items()}}
    for odd in ({"alert_file": "text"}, {"alert_file": "missing"}, {"argv_count": 2}):
        yield str(odd), {"integration": name, "config": config, "responses": first, **odd}


def _virustotal_answers() -> dict[str, Any]:
    report = {"response_code": 1, "sha1": "s", "scan_date": "d", "positives": 3, "total": 9, "permalink": "p"}
    known = {"status": 200, "body": json.dumps(report)}
    moved = {"status": 302, "headers": {"Location": "/elsewhere"}, "body": ""}
    return {
        "no-report": [{"status": 200, "body": "ok"}],
        "known": [known],
        "no-code": [{"status": 200, "body": json.dumps({**report, "response_code": None})}],
        "bare-no-code": [{"status": 200, "body": '{"response_code": null}'}],
        "moved": [moved, known],
        "moved-to-403": [moved, {"status": 403, "body": ""}],
        "moved-for-ever": [moved],
        "408": [{"status": 408, "body": ""}],
        "late": [{**known, "delay": 30}],
    }


def _maltiverse_answers() -> dict[str, Any]:
    entry = {"description": "Botnet", "source": "Somebody"}
    known = {"type": "hostname", "classification": "malicious", "blacklist": [entry]}
    return {
        "no-json": [{"status": 200, "body": "ok"}],
        "known": [{"status": 200, "body": json.dumps(known)}],
        "odd": [{"status": 200, "body": json.dumps({**known, "blacklist": [None]})}],
        "404": [{"status": 404, "body": '{"message": "Not found"}'}],
        "500": [{"status": 500, "body": ""}],
    }


MADE: dict[str, Callable[[], Iterator[Case]]] = {
    "config": config,
    "filters": filters,
    "alert_text": alert_text,
    "tail": tail,
    "deliveries": deliveries,
}
