"""Deviations of `deliveries` that go together with others: a cause taken out of a case leaves a case of its own.

The record must be what `stock_scripts` says that the script does. Ours must be right for the same case without the
cause: the same as the script does there, or explained by another deviation.
"""

from __future__ import annotations

import json
import math
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from tests.conformance.case import field_bytes, with_field
from tests.conformance.config_causes import MERGES_OPTIONS, has_no_json_number, has_unusable_options
from tests.conformance.deliveries import same
from tests.conformance.deliveries_messages import alert_of, as_stock_pages, with_alert, with_json
from tests.conformance.deliveries_replay import Ours, replay
from tests.conformance.stock_scripts import is_stock, recorded
from tests.conformance.stock_text import printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.case import Case

LOOKS_UP = {"virustotal", "maltiverse"}
LOOK_UPS = (
    *(("syscheck", "md5_after"), ("syscheck", "sha1_after")),
    *(("data", "srcip"), ("data", "hostname"), ("data", "url")),
)
"""Where the things to look up stand in an alert."""

STAND_IN = "plain-value-"

LONGEST_IN_URL = 7_000
"""Bytes of a value; with the rest of the URL, 8,000 (C31)."""


def explained(case: Case, ours: Ours) -> bool:
    """Return whether ours is the same as recorded, or some deviation explains the difference."""
    from tests.conformance.deviations import DEVIATIONS  # noqa: PLC0415 — that table is made of these predicates

    return same(case, ours) or any(one.explains("deliveries", case, ours) for one in DEVIATIONS)


def _right_without(case: Case, there: Case, ours: Ours) -> bool:
    """Return whether ours is right for the case without its cause, and is what we make of that."""
    there = recorded(there)
    return is_stock(case) and ours == replay(there) and explained(there, ours)


def sends_what_the_line_says(case: Case, ours: Ours) -> bool:
    """Given the alert as the stock daemon re-prints it, and only then, we send what was recorded."""
    if case["alert_file"] != "json" or "script_input" not in case:
        return False
    case = with_field({**case, "script_input": None}, "alert", field_bytes(case, "script_input"))
    there = replay(case)
    reprinted = ours.requests != there.requests and _is_printed(ours.requests, there.requests)
    return reprinted and ours.end == there.end and explained(case, there)


_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def _is_printed(ours: Any, theirs: Any) -> bool:
    """Return whether theirs equals ours, except for numbers printed as doubles (also in texts) and text after a NUL."""
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(_is_printed(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_is_printed, ours, theirs))
    if isinstance(ours, str):
        return theirs in {
            ours.partition("\0")[0],
            ours.partition("%00")[0],
            _NUMBER.sub(lambda number: printed(float(number[0])), ours),
        }
    if ours == theirs or isinstance(ours, bool) or not isinstance(ours, int | float):
        return bool(ours == theirs)
    if theirs is None:
        return math.isinf(float(ours))
    return math.isclose(ours, theirs, rel_tol=sys.float_info.epsilon)


def escapes_alert_text(case: Case, ours: Ours) -> bool:
    """With `escape = false` we send what was recorded; without it, the same with `&`, `<` and `>` as entities."""
    there = replay(case, escape=False)
    escaped = ours.requests != there.requests and _unescaped(ours.requests) == _unescaped(there.requests)
    return case["integration"] == "slack" and escaped and ours.end == there.end and explained(case, there)


def _unescaped(requests: list[dict[str, Any]]) -> str:
    return json.dumps(requests).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def reads_the_json_alert(case: Case, ours: Ours) -> bool:
    """The text form is no JSON; here the integration reads the alert itself."""
    return case["alert_file"] == "text" and _right_without(case, {**case, "alert_file": "json"}, ours)


def needs_no_file_and_no_arguments(case: Case, ours: Ours) -> bool:
    cause = case["alert_file"] == "missing" or case.get("argv_count", 8) < 8
    return cause and _right_without(case, {**case, "alert_file": "json", "argv_count": 8}, ours)


def makes_lookups_despite_limits(case: Case, ours: Ours) -> bool:
    """The script makes no request with a time limit of 0 or less, or a negative number of retries."""
    config = case["config"]
    if case["integration"] != "virustotal" or (config["timeout"] > 0 and config["retries"] >= 0):
        return False
    usable = {"timeout": 10 if config["timeout"] <= 0 else config["timeout"], "retries": max(config["retries"], 0)}
    return _right_without(case, {**case, "config": {**config, **usable}}, ours)


def refuses_broken_options(case: Case, ours: Ours) -> bool:
    broken = case["integration"] in MERGES_OPTIONS and has_unusable_options(case["config"]["options"])
    return broken and _refused(case, ours)


def refuses_nan(case: Case, ours: Ours) -> bool:
    odd = case["integration"] in MERGES_OPTIONS and has_no_json_number(case["config"]["options"])
    return odd and _refused(case, ours)


def refuses_settings(case: Case, ours: Ours) -> bool:
    """A query or fragment in the API's address, a key that no header can hold: nothing is found there."""
    config = case["config"]
    hopeless = re.search(r"[#?\s]", config["hook_url"] or "") or re.search(
        r"[^\x20-\x7e\xa0-\xff]", config["api_key"] or ""
    )
    return case["integration"] == "maltiverse" and bool(hopeless) and _refused(case, ours)


def _refused(case: Case, ours: Ours) -> bool:
    return ours.end == "dead not_configured" and not ours.requests and is_stock(case)


def sends_numbers_as_written(case: Case, ours: Ours) -> bool:
    """A number in the options that exceeds a double becomes Infinity in the script, and stays as written here."""
    if case["integration"] not in MERGES_OPTIONS or not _exceeds_a_double(case["config"]["options"]):
        return False
    there = {**case, "requests": list(map(with_json, case["requests"]))}
    return is_stock(case) and same(there, as_stock_pages(case, ours))


def _exceeds_a_double(options: str | None) -> bool:
    numbers: list[float] = []
    json.loads(options or "null", parse_int=float, parse_float=lambda text: numbers.append(float(text)))
    return any(map(math.isinf, numbers))


def sends_long_integers(case: Case, ours: Ours) -> bool:
    """The script's Python refuses an integer of thousands of digits; where it does not, it sends what we send."""
    if case["integration"] not in MERGES_OPTIONS or not is_stock(case):
        return False
    with _any_number_of_digits():
        there, read = recorded(case), ours._replace(requests=list(map(with_json, ours.requests)))
        differs = (there["exit"], there["requests"]) != (case["exit"], case["requests"])
        return differs and explained(there, read)


@contextmanager
def _any_number_of_digits() -> Iterator[None]:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def skips_lookups_without_agent(case: Case, ours: Ours) -> bool:
    """The script spends quota on what it cannot credit to an agent without id or name."""
    agent = alert_of(case).get("agent")
    odd = isinstance(agent, dict) and bool(agent) and not ("id" in agent and ("name" in agent or agent["id"] == "000"))
    vain = case["integration"] in LOOKS_UP and odd and ours.end == "dead invalid_alert" and not ours.requests
    there = with_alert(case, {**alert_of(case), "agent": {"id": "1", "name": "x"}})
    return vain and replay(there).end != ours.end and is_stock(case)


def goes_without(case: Case, ours: Ours) -> bool:
    """The script dies of an alert without agent, or of a value to look up that is no text; we do without it."""
    if case["integration"] not in LOOKS_UP:
        return False
    alert = alert_of(case)
    usual = _with_usual_parts(alert)
    return usual != alert and _right_without(case, with_alert(case, usual), ours)


def _with_usual_parts(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an alert without the parts that are nothing to look up, and with an agent."""
    kept = {**alert, "agent": alert.get("agent") or {"id": "000"}}
    for name, key in LOOK_UPS:
        part = kept.get(name, {})
        if not isinstance(part, dict):
            del kept[name]
        elif not isinstance(part.get(key, ""), str):
            kept[name] = {other: value for other, value in part.items() if other != key}
    return kept


def quotes_values(case: Case, ours: Ours) -> bool:
    """A value with `/`, `?`, `#` or `%` stays one segment of the path; all else is as with any other value."""
    if case["integration"] != "maltiverse":
        return False
    alert, odd = alert_of(case), dict[str, str]()
    for name, key in LOOK_UPS:
        value = (alert.get(name) or {}).get(key)
        if key != "url" and isinstance(value, str) and re.search("[/?#%]", value):
            odd[f"{STAND_IN}{len(odd)}"] = value
            alert[name] = {**alert[name], key: list(odd)[-1]}
    there = recorded(with_alert(case, alert))
    plain = replay(there)
    alike = _with_values(plain, odd) == ours._replace(requests=[_with_stand_in(one, odd) for one in ours.requests])
    return bool(odd) and alike and is_stock(case) and explained(there, plain)


def leaves_out_dot_segments(case: Case, ours: Ours) -> bool:
    """`.` and `..` are path segments of their own, even if encoded; we look up what else is there."""
    return _leaves_out(case, ours, lambda value: value in {".", ".."})


def leaves_out_long_values(case: Case, ours: Ours) -> bool:
    """The URL of the value would be longer than servers must accept; we look up what else is there."""
    return _leaves_out(case, ours, lambda value: len(quote(value, safe="")) > LONGEST_IN_URL)


def _leaves_out(case: Case, ours: Ours, is_odd: Callable[[str], bool]) -> bool:
    """Return whether ours is right for the alert without its odd values to look up, and it has some."""
    if case["integration"] not in LOOKS_UP:
        return False
    kept = alert_of(case)
    odd = [(name, key) for name, key in LOOK_UPS if key != "url" and _is_odd((kept.get(name) or {}).get(key), is_odd)]
    for name, key in odd:
        kept[name] = {other: value for other, value in kept[name].items() if other != key}
    return bool(odd) and _right_without(case, with_alert(case, kept), ours)


def _is_odd(value: Any, is_odd: Callable[[str], bool]) -> bool:
    return isinstance(value, str) and is_odd(value)


def ignores_the_case_of_the_scheme(case: Case, ours: Ours) -> bool:
    """The Maltiverse script refuses `HTTPS://`; we ask as with `https://`."""
    config = case["config"]
    scheme, _, rest = (config["hook_url"] or "").partition("://")
    there = {**case, "config": {**config, "hook_url": f"{scheme.lower()}://{rest}"}}
    cause = case["integration"] == "maltiverse" and scheme != scheme.lower() and case["exit"] == 5
    return cause and _right_without(case, there, ours)


def _with_stand_in(request: dict[str, Any], odd: dict[str, str]) -> dict[str, Any]:
    """Return a request with the stand-in of an odd value, if that is the last segment of its path."""
    way, _, segment = request["url"].rpartition("/")
    stand_in = next((name for name, value in odd.items() if value == unquote(segment)), None)
    return {**request, "url": f"{way}/{stand_in}"} if stand_in and not re.search("[?#]", segment) else request


def _with_values(plain: Ours, odd: dict[str, str]) -> Ours:
    """Return ours with the odd values in the events about their stand-ins."""

    def restored(text: bytes) -> bytes:
        for stand_in, value in odd.items():
            text = text.replace(stand_in.encode(), json.dumps(value)[1:-1].encode())
        return text

    datagrams, final_events, events = (
        list(map(restored, one)) for one in (plain.datagrams, plain.final_events, plain.events)
    )
    return plain._replace(datagrams=datagrams, final_events=final_events, events=events)
