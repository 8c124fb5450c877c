"""What a commit folds into groups of alerts, as the scripts need it (`fold.lua`, `digests.lua`).

A state in Redis stays below 64 KiB a group, since whoever makes these keeps to the limits: `MAX_SAMPLES` samples of
`MAX_SAMPLE_BYTES`, `MAX_TOP_FIELDS` fields with MAX_VALUES values of `MAX_VALUE_BYTES`, and a base of `MAX_BASE_BYTES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

MAX_SAMPLES: Final = 10
MAX_SAMPLE_BYTES: Final = 2_000
MAX_TOP_FIELDS: Final = 5
MAX_VALUES: Final = 32
"""Values of a field that are counted; MOST_VALUES in `fold.lua`."""
MAX_VALUE_BYTES: Final = 120
"""Bytes of a value of `top`, in JSON."""
MAX_GROUP_BYTES: Final = 2_000
"""Bytes of all values of `by` of a group, in JSON."""
MAX_BASE_BYTES: Final = 12_000
MAX_GROUPS: Final = 10_000
"""Open groups of an integration; MOST_GROUPS in `fold.lua`."""

MAX_RELEASE_CLOSES: Final = 100
"""Groups that one release closes; MOST_CLOSED in `release.lua`."""


class Group(msgspec.Struct, frozen=True, kw_only=True, rename={"every_ms": "every", "ends_ms": "ends"}):
    """A group into which alerts are folded. Its name, `group`, begins with a digest of the terms.

    `values` are those of `by`, in JSON. The window ends at the first of `ends_ms` (ms since the epoch) that is in the
    future, otherwise `every_ms` after it began. With `every_ms` 0 the group has one window only.
    """

    group: str
    values: str = "{}"
    first: int = 0
    min: int = 1
    every_ms: int
    ends_ms: tuple[int, ...] = ()
    samples: int = 0
    others: bool = False


class Top(msgspec.Struct, frozen=True):
    """How often the values of a field occurred; `approximate` if some values are not counted."""

    field: str
    values: Sequence[tuple[str, int]]
    approximate: bool = False


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What some alerts of one group have in common.

    `group` and `delivery` are numbers from 1: of the group among those of `Folds`, and of the delivery that the alert
    of the part is unless it is folded, 0 for a part of any number of alerts that are certainly folded.

    `oldest` and `newest` are the timestamp and the id of the first and the last alert. `level` is the highest level and
    `base`, in JSON, what the digest takes from the newest alert with that level (`digests.lua`). `samples` are JSON.
    """

    group: int
    delivery: int
    number: int
    oldest: tuple[str, str]
    newest: tuple[str, str]
    level: int
    base: str
    tops: Sequence[Top] = ()
    samples: Sequence[str] = ()


class Folds(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit folds. `others` get the alerts of groups that are too many: of those with windows, and of holds."""

    groups: Sequence[Group]
    parts: Sequence[Part]
    others: tuple[Group, Group]

    def script_arg(self) -> bytes:
        """Return the argument of the script `commit`."""
        return msgspec.json.encode(self)
