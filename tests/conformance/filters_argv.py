"""The command lines in class `argv` of `filters`: what our script transport passes, and what the daemon makes of it.

The daemon prints one string and splits it at blanks (spec 4.3); we pass a vector (D15). So a recorded vector is right
for us if ours, printed and split as the daemon does it, is the recorded one.
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.conformance.case import field_bytes
from workers.alert.alert import Alert
from workers.integrations.registry import make_service
from workers.transports.script.transport import arguments

if TYPE_CHECKING:
    from common.integration import Integration
    from tests.conformance.case import Case

FILE, OPTIONS = "<alert-file>", "<options-file>"
NOISE = " > /dev/null 2>&1"
MOST_PIECES = 9
LONGEST_LINE_BYTES = 4_094
POSITIONS = 8


class Command(NamedTuple):
    """One run of a script: all its arguments from index 0, and the content of its options file."""

    argv: list[str]
    options_file: bytes | None


def command(integration: Integration, raw: bytes) -> Command:
    """Return what a script of this block is given, by the code that gives it."""
    (call,) = make_service(integration).build_calls(Alert(raw))
    options = None if call.options_file is None else Path(OPTIONS)
    return Command(["integrations", *arguments(call, Path(FILE), options, debug=False)], call.options_file)


def recorded_commands(case: Case) -> list[Command]:
    """Return what was recorded, nothing for classes without command lines."""
    return [_recorded(fired) for fired in case["fired"] if "argv" in fired]


def _recorded(fired: dict[str, Any]) -> Command:
    argv = [
        b64decode(item["b64"]).decode("utf-8", "surrogateescape") if isinstance(item, dict) else item
        for item in fired["argv"]
    ]
    has_none = "options_file" in fired and fired["options_file"] is None
    return Command(argv, None if has_none else field_bytes(fired, "options_file"))


def passes_a_vector(ours: Command, recorded: Command, name: str) -> bool:
    """Return whether ours is a clean vector, and becomes the recorded one when printed and split."""
    file, options = _stock_names(name)
    text = " ".join(ours.argv).replace(FILE, file, 1)
    if ours.options_file is not None:
        text = text.replace(OPTIONS, options, 1)
    clean = len(ours.argv) == POSITIONS and ours.options_file == recorded.options_file
    return clean and any(split(line + NOISE) == recorded.argv for line in _cut(text, name))


def _stock_names(name: str) -> tuple[str, str]:
    """Return the files' names as the records have them; a blank in the name shows more of it."""
    return (f"/tmp/{name}-<n>.alert", f"/tmp/{name}-<n>.options") if " " in name else (FILE, OPTIONS)


def _cut(text: str, name: str) -> set[str]:
    """Return what is left of a long line: the name of the file, which the record does not tell, is part of it."""
    raw = text.encode("utf-8", "surrogateescape")
    shortest, longest = len(f"/tmp/{name}-1234567890-1.alert"), len(f"/tmp/{name}-1234567890--1234567890.alert")
    shown = len(FILE)
    if len(raw) + longest - shown <= LONGEST_LINE_BYTES:
        return {text}
    ends = range(LONGEST_LINE_BYTES + shown - longest, LONGEST_LINE_BYTES + shown - shortest + 1)
    return {raw[:end].decode("utf-8", "surrogateescape") for end in ends}


def split(line: str) -> list[str]:
    r"""Split at single blanks into at most nine pieces; `\ ` is a blank that does not split."""
    pieces, at = [""], 0
    while at < len(line):
        if line.startswith("\\ ", at):
            pieces[-1] += " "
            at += 2
            continue
        if line[at] == " " and len(pieces) < MOST_PIECES:
            pieces.append("")
        else:
            pieces[-1] += line[at]
        at += 1
    return pieces
