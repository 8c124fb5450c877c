"""What the default message of a digest shows: numbers, times, what the alerts have in common, and samples of them.

Texts are plain and bounded here; `default` escapes them for the service, and `limits` cuts the message to what the
service takes. The most important field is the first, since fields are cut from the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from common.templates.values import text_of
from workers.integrations.helpers.alert_fields import get
from workers.integrations.helpers.text_limits import ELLIPSIS, truncate
from workers.message.highlights import highlights
from workers.message.markup import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.digest import Digest, Top

MAX_VALUE_CHARS: Final = 100
"""Characters of a time, of a value of the group and of a top value."""

MAX_TOP_CHARS: Final = 300
"""Characters after which no more values of a field are listed, so that there is room for samples."""

MAX_SAMPLE_CHARS: Final = 300
"""Characters of a sample; five of them fit into a message of every service."""

MAX_SAMPLES_CHARS: Final = 1_600
"""Characters of all samples together; a sample that does not fit is only counted."""

MAX_LEAVES: Final = 3
"""What is shown of `data` in a sample without a log line."""

OTHERS: Final = "others: more groups were open than Courier keeps apart"

_PLAIN: Final = re.compile(r"[\w.:/@\\ -]+…?")
"""A value that cannot be mistaken for two, or for its number."""


def digest_pairs(digest: Digest) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the fields, not escaped."""
    yield "Count", str(digest.count)
    if digest.first:
        yield "From", truncate(digest.first, MAX_VALUE_CHARS)
    if digest.last:
        yield "To", truncate(digest.last, MAX_VALUE_CHARS)
    if digest.level:
        yield "Highest level", f"{digest.level:g}"
    if digest.others:
        yield "Group", OTHERS
    for name, value in digest.group:
        yield name, truncate(value, MAX_VALUE_CHARS)
    for top in digest.tops:
        yield f"Top {top.field}{' (approximate)' if top.approximate else ''}", _listed(top)


def digest_text(digest: Digest) -> str:
    """Return the samples, one in a line; empty if there are none."""
    found = [truncate(line, MAX_SAMPLE_CHARS) for line in map(_sample, digest.samples) if line]
    lines, room = ["Samples:"], MAX_SAMPLES_CHARS
    for line in found:
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    if left_out := len(found) + 1 - len(lines):
        lines.append(f"{ELLIPSIS} ({left_out} more)")
    return "\n".join(lines) if found else ""


def _listed(top: Top) -> str:
    text = ""
    for one in top.values:
        if len(text) > MAX_TOP_CHARS:
            return f"{text}, {ELLIPSIS}"
        text += f"{', ' if text else ''}{_unmistakable(one.value)} ({one.count})"
    return text


def _unmistakable(value: str) -> str:
    """Return a value, in quotes if a comma or bracket in it could make it look like several."""
    text = one_line(truncate(value, MAX_VALUE_CHARS))
    return text if _PLAIN.fullmatch(text) else f'"{text.replace(chr(34), chr(39))}"'


def _sample(alert: dict[str, Any]) -> str:
    """Return one sample in one line: time, agent, and log line or description with its highlights."""
    where = " ".join(filter(None, (text_of(alert.get("timestamp")), text_of(get(alert, "agent", "name")))))
    what = text_of(alert.get("full_log"))
    if not what:
        leaves = (f"{name}: {value}" for name, value in highlights(alert)[:MAX_LEAVES])
        what = ", ".join(filter(None, (text_of(get(alert, "rule", "description")), *leaves)))
    return one_line(": ".join(part[: 4 * MAX_SAMPLE_CHARS] for part in (where, what) if part))
