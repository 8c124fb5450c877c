"""Family `alert_text`: the exact bytes of the file that a custom script is given."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

from common.alert import Alert
from common.integration import Integration
from tests.conformance.harness import Deviation
from workers.integrations.script import Script
from workers.integrations.text_form import text_form

if TYPE_CHECKING:
    from tests.conformance.harness import Case

Files = list[bytes]


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, duplicates and all."""


def ours(case: Case) -> Files:
    """Return the file for each block; every block starts from the same alert, as it does in Courier."""
    return [_file(case, block) for block in case["blocks"]]


def same(case: Case, ours: Files) -> bool:
    return case["outcome"] == "ok" and ours == recorded(case)


def recorded(case: Case) -> Files:
    return [str(file["content"]).encode() for file in case["files"]]


def _file(case: Case, block: dict[str, Any]) -> bytes:
    alert_format, max_log = block["alert_format"], block["max_log"]
    integration = Integration(id="custom-x", name="custom-x", alert_format=alert_format, max_log=max_log)
    return Script(integration).calls(Alert(_raw(case)))[0].alert_file


def _raw(case: Case) -> bytes:
    return str(case["alert"]).encode()


# What the stock Integrator does, told apart by cause. Each deviation must explain every file of its case.


def _parse(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=Pairs, strict=False)


def _alike(ours: Any, theirs: Any) -> bool:
    """Say whether their JSON is ours printed anew, numbers through a double of 15 to 17 digits (spec 4.1)."""
    if isinstance(ours, list):  # Pairs are lists of pairs
        same_shape = type(ours) is type(theirs) and len(ours) == len(theirs)
        return same_shape and all(map(_alike, ours, theirs))
    if isinstance(ours, tuple):
        return ours[0] == theirs[0] and _alike(ours[1], theirs[1])
    if isinstance(ours, bool) or not isinstance(ours, int | float):
        return type(ours) is type(theirs) and bool(ours == theirs)
    if math.isinf(float(ours)):
        return theirs is None
    return isinstance(theirs, int | float) and math.isclose(ours, theirs, rel_tol=sys.float_info.epsilon)


def _is_json(block: dict[str, Any]) -> bool:
    return str(block["alert_format"] or "").startswith("json")


def _explained(case: Case, *, keys: bool = False, changes: bool = False) -> bool:
    """Say whether what was recorded is our reading of the alert and nothing but these stock habits: `keys` are looked
    up without case and the first wins (D3), the text form `changes` the alert for the blocks after it (D14).
    """
    if case["outcome"] != "ok":
        return False
    alert = _parse(case["alert"].removeprefix("\ufeff"))
    for block, file in zip(case["blocks"], recorded(case), strict=True):
        if _is_json(block):
            if not _alike(alert, _parse(file)):
                return False
            continue
        if file != text_form(json.dumps(_plain(alert, keys=keys)).encode(), block["max_log"]):
            return False
        alert = _changed(alert, file.decode()) if changes else alert
    return True


def _plain(value: Any, *, keys: bool) -> Any:
    if isinstance(value, Pairs):
        pairs = [(key.lower(), item) for key, item in reversed(value)] if keys else value
        return {key: _plain(item, keys=keys) for key, item in pairs}
    return value


def _changed(alert: Pairs, file: str) -> Pairs:
    """Return the alert with `full_log` and `data.srcip` as the text form shows them, where they are there."""
    found = re.search(r"^alertlog='(.*)'\nsrcip='(.*)'\Z", file, re.MULTILINE)
    assert found
    log, srcip = found.groups()
    return _with(alert, "full_log", lambda _: log, "data", lambda data: _with(data, "srcip", lambda _: srcip))


def _with(value: Any, *changes: Any) -> Any:
    by_key = dict(zip(changes[::2], changes[1::2], strict=True))
    if not isinstance(value, Pairs):
        return value
    return Pairs((key, by_key[key](item) if key in by_key else item) for key, item in value)


def _from_the_line(case: Case, ours: Files) -> bool:
    """Say whether each of our files is made of the line alone: JSON is its own bytes, the text form reads it whole."""
    line = _raw(case).removeprefix(b"\xef\xbb\xbf")
    json_file = re.sub(rb"[\x00-\x1f]", lambda control: json.dumps(control[0].decode())[1:-1].encode(), line) + b"\n"
    made = [json_file if _is_json(block) else text_form(line, block["max_log"]) for block in case["blocks"]]
    return ours == made


def _hands_on_own_bytes(case: Case, ours: Files) -> bool:
    pairs = zip(case["blocks"], ours, recorded(case), strict=False)
    differing = [block for block, our, their in pairs if our != their]
    return all(map(_is_json, differing)) and _from_the_line(case, ours) and _explained(case)


def _reads_keys_as_everyone(case: Case, ours: Files) -> bool:
    return _from_the_line(case, ours) and not _explained(case) and _explained(case, keys=True)


def _works_on_a_copy(case: Case, ours: Files) -> bool:
    return _from_the_line(case, ours) and not _explained(case) and _explained(case, changes=True)


def _survives(case: Case, ours: Files) -> bool:
    """A log or an address that is no text ends the stock daemon in the first text form: it counts as absent."""
    if case["outcome"] != "crash":
        return False
    alert, before = json.loads(case["alert"]), len(case["files"])
    data = alert.get("data")
    values = alert.get("full_log", ""), data.get("srcip", "") if isinstance(data, dict) else ""
    wrong = [name for name, value in zip((b"alertlog", b"srcip"), values, strict=True) if not isinstance(value, str)]
    told = all(b"\n%s=''" % name in ours[before] for name in wrong)
    return bool(wrong) and told and ours[:before] == recorded(case)


DEVIATIONS = (
    Deviation("D1", _survives),
    Deviation("D3", _reads_keys_as_everyone),
    Deviation("D4", _hands_on_own_bytes),
    Deviation("D14", _works_on_a_copy),
)
