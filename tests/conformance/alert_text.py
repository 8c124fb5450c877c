"""Family `alert_text`: the exact bytes of the file that a custom script is given."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from common.integration import Integration
from tests.conformance import stock_line, stock_text
from tests.conformance.case import field_bytes
from tests.conformance.tail import alerts_on, is_alert
from workers.alert.alert import Alert
from workers.integrations.registry import make_service
from workers.integrations.script.text_alert import render_text

if TYPE_CHECKING:
    from tests.conformance.case import Case

Files = list[bytes]


def ours(case: Case) -> Files:
    """Return the file for each block, none if there is no alert on the line; every block starts from the same alert."""
    return [_file(raw, block) for raw in alerts_on(field_bytes(case, "alert")) for block in case["blocks"]]


def same(case: Case, ours: Files) -> bool:
    return case["outcome"] == "ok" and ours == recorded(case)


def recorded(case: Case) -> Files:
    return [field_bytes(file, "content") for file in case["files"]]


def _file(raw: bytes, block: dict[str, Any]) -> bytes:
    alert_format, max_log = block["alert_format"], block["max_log"]
    integration = Integration(id="custom-x", name="custom-x", alert_format=alert_format, max_log=max_log)
    content: bytes = make_service(integration).build_calls(Alert(raw))[0].alert_file
    return content


# The deviations: what was recorded is the stock daemon's habit, and ours is made of the line alone.


def passes_on_the_original_bytes(case: Case, ours: Files) -> bool:
    pairs = zip(case["blocks"], ours, recorded(case), strict=False)
    differing = [block for block, our, their in pairs if our != their]
    return all(map(stock_text.is_json, differing)) and from_the_line(case, ours) and _explained(case)


def reads_keys_like_standard_json(case: Case, ours: Files) -> bool:
    """The text form has the values of other keys; or the line has no `rule` but one in other letters: no alert."""
    raw = field_bytes(case, "alert")
    if not ours and "rule" not in stock_line.repaired(raw):
        return "rule" in json.loads(stock_line.as_stock_reads_keys(raw)) and _explained(case, keys=True)
    return from_the_line(case, ours) and not _explained(case) and _explained(case, keys=True)


def works_on_a_copy(case: Case, ours: Files) -> bool:
    alike = _explained(case, changes=True) or _explained(case, changes=True, keys=True)
    return from_the_line(case, ours) and not _explained(case) and not _explained(case, keys=True) and alike


def accepts_the_line(cause: str, case: Case, ours: Files) -> bool:
    """The stock reader drops the line for this cause."""
    dropped = case["outcome"] == "ok" and not case["files"]
    return dropped and cause in stock_line.why_dropped(field_bytes(case, "alert")) and from_the_line(case, ours)


def accepts_whole_alerts(case: Case, ours: Files) -> bool:
    """The stock reader drops the line, or reads what is before a NUL byte; here there are files of each whole alert."""
    raw = field_bytes(case, "alert")
    made = [_file(alert, block) for alert in alerts_on(raw) for block in case["blocks"]]
    if alerts_on(raw) == [raw] or ours != made or case["outcome"] != "ok":
        return False
    before = raw.partition(b"\0")[0]
    if before != raw and is_alert(before):
        return recorded(case) == stock_text.files(before, case["blocks"], keys=False, changes=False)
    return not case["files"]


def survives(case: Case, ours: Files) -> bool:
    """A log or an address that is no text ends the stock daemon in the first text form: it counts as absent."""
    if case["outcome"] != "crash":
        return False
    raw, before = field_bytes(case, "alert"), len(case["files"])
    alert = stock_line.repaired(raw)
    data = alert.get("data")
    values = alert.get("full_log", ""), data.get("srcip", "") if isinstance(data, dict) else ""
    wrong = [name for name, value in zip((b"alertlog", b"srcip"), values, strict=True) if not isinstance(value, str)]
    is_text = not stock_text.is_json(case["blocks"][before])
    are_empty = is_text and all(b"\n%s=''" % name in ours[before] for name in wrong)
    written = stock_text.files(raw, case["blocks"][:before], keys=True, changes=False)
    return bool(wrong) and are_empty and recorded(case) == written and from_the_line(case, ours)


def _explained(case: Case, *, keys: bool = False, changes: bool = False) -> bool:
    """Return whether what was recorded is our reading of the alert and nothing but these stock habits."""
    if case["outcome"] != "ok" or not case["files"]:
        return False
    raw = field_bytes(case, "alert")
    return recorded(case) == stock_text.files(raw, case["blocks"], keys=keys, changes=changes)


def from_the_line(case: Case, ours: Files) -> bool:
    """Return whether each of our files comes from the line alone.

    A JSON file has the line's own bytes up to a NUL byte behind the value. Control characters are escaped in texts and
    blanks between tokens. The text form reads the whole line.
    """
    line = field_bytes(case, "alert").removeprefix(stock_line.BOM)
    own = _STRING.sub(lambda string: _CONTROL.sub(_escaped, string[0]), _until_nul(line)) + b"\n"
    made = [own if stock_text.is_json(block) else render_text(line, block["max_log"]) for block in case["blocks"]]
    return list(map(_with_blanks, ours)) == list(map(_with_blanks, made))


def _until_nul(line: bytes) -> bytes:
    """Return a line up to the first NUL byte that stands behind its value."""
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(line.decode("latin-1").replace("\0", " ").lstrip())
    except ValueError:
        return line
    end += len(line) - len(line.lstrip(b" \t\r\n\0"))
    return line[:end] + line[end:].partition(b"\0")[0]


def _with_blanks(file: bytes) -> bytes:
    return re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", b" ", file)


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f]")


def _escaped(control: re.Match[bytes]) -> bytes:
    return json.dumps(control[0].decode())[1:-1].encode()
