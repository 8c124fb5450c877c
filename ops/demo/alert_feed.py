"""Writes alerts to the file that the producer follows, as analysisd does: in bursts that can end mid-line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from common.json_depth import check_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

BURSTS: Final = 16
CHUNK_BYTES: Final = 1024 * 1024
SMALL_BYTES: Final = 2 * CHUNK_BYTES
"""A log up to this size is written in BURSTS bursts, a larger one in chunks of CHUNK_BYTES."""

REMEMBERED: Final = 100_000
"""The number of alerts whose time of writing is stored; of a larger log, only the first ones."""


class _Id(msgspec.Struct):
    id: str = ""


_decode: Final = msgspec.json.Decoder(_Id).decode


class Feed:
    """Appends to `target` and counts the complete `lines`. `clock` returns seconds since the epoch."""

    def __init__(self, target: Path, clock: Callable[[], float]) -> None:
        self._target, self._clock = target, clock
        self._rest = b""
        self.lines = 0
        self.written_s: dict[str, float] = {}

    def append(self, burst: bytes) -> None:
        """Append bytes of the log; they can end in the middle of a line."""
        with self._target.open("ab") as file:
            file.write(burst)
        *complete, self._rest = (self._rest + burst).split(b"\n")
        self.lines += len(complete)
        for line in complete:
            self._remember(line)

    def finish(self) -> None:
        """Write a newline if the last line has none."""
        if self._rest:
            self.append(b"\n")

    def since_s(self, identity: str, at_s: float) -> float | None:
        """Return the seconds from the writing of the alert in `identity` until `at_s`, None if it names none."""
        moments = (self.written_s.get(word) for word in identity.split(" "))
        return next((max(0.0, at_s - moment) for moment in moments if moment is not None), None)

    def _remember(self, line: bytes) -> None:
        if len(self.written_s) >= REMEMBERED:
            return
        try:
            check_depth(line)
            self.written_s[_decode(line).id] = self._clock()
        except ValueError:
            return


def bursts(log: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """Yield the log in pieces. A small log yields pieces of equally many lines, the last line of each cut in half."""
    if size_bytes > SMALL_BYTES:
        while chunk := log.read(CHUNK_BYTES):
            yield chunk
        return
    content = log.read()
    start = 0
    for end in _cuts(content):
        yield content[start:end]
        start = end
    yield content[start:]


def _cuts(content: bytes) -> Iterator[int]:
    lines = content.split(b"\n")
    each = max(1, len(lines) // BURSTS)
    position = 0
    for number, line in enumerate(lines[:-1], 1):
        if number % each == 0 and number // each < BURSTS:
            yield position + (len(line) + 1) // 2
        position += len(line) + 1
