"""A message, in the markup of the service that shows it."""

from __future__ import annotations

from typing import Final

import msgspec

SHORT_CHARS: Final = 40
"""A value of at most this many characters fits beside another one."""

COLOURS: Final = ((12, 0xA30200), (8, 0xE8590C), (5, 0xDAA038), (0, 0x2EB886))
"""The lowest level of each colour, as 0xRRGGBB: red, orange, yellow, green."""


class Field(msgspec.Struct, frozen=True):
    """One line of a message: a name and a value."""

    name: str
    value: str

    @property
    def is_short(self) -> bool:
        """Whether a service may show another field beside it."""
        return len(self.value) <= SHORT_CHARS and "\n" not in self.value


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a service shows of an alert. Texts are escaped and may contain markup; `title` is one line.

    `link` is a URL, empty for none. `level` is that of the rule, 0 if it has none. `note` says that a template failed;
    it is plain text that needs no escaping. `missing` are the paths that templates asked for and the alert does not
    have.
    """

    title: str
    text: str = ""
    fields: tuple[Field, ...] = ()
    link: str = ""
    level: float = 0
    note: str = ""
    missing: tuple[str, ...] = ()

    @property
    def colour(self) -> int:
        """The colour for the level, as 0xRRGGBB."""
        return next((colour for lowest, colour in COLOURS if self.level >= lowest), COLOURS[-1][1])
