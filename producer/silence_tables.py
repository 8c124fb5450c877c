"""Compiles the `[[silences]]` of courier.toml. An invalid one is refused by itself, with file, line and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.settings.silences import REQUIRED, SILENCES
from common.settings.sources import dotted
from common.silences import FileSilence
from common.silences.model import limit_problems
from producer.setting_origins import origin_in
from producer.table_checks import condition_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from common.conditions import NamedCondition
    from common.settings.load import Settings
    from common.settings.silences import SilenceTable

    Problems = list[tuple[str, str]]


def compile_silences(
    settings: Settings, names: Mapping[str, NamedCondition]
) -> tuple[tuple[FileSilence, ...], dict[str, Problems]]:
    """Return the valid silences, and for each other one, by its dotted name, origins and problems.

    `names` are the valid named conditions.
    """
    silences: list[FileSilence] = []
    errors: dict[str, Problems] = {}
    refused = {one.section for one in settings.refused}
    for number, table in settings.silences.items():
        name = dotted((SILENCES, number))
        if name in refused:  # reported with the other tables
            continue
        if problems := list(_problems(table, names)):
            errors[name] = [
                (origin_in(settings.origin, name, key), f"{name}.{key}: {problem}") for key, problem in problems
            ]
        else:
            silences.append(_silence(table))
    return tuple(silences), errors


def _problems(table: SilenceTable, names: Mapping[str, NamedCondition]) -> Iterator[tuple[str, str]]:
    """Yield keys and what is wrong with them."""
    for key in REQUIRED:
        if getattr(table, key) is None:
            yield key, "is missing; every silence has an end (until) and a reason (why)"
    if not table.match and not table.integrations:
        yield "match", "is missing; without match and integrations it would silence everything"
    if table.start and table.until and table.start >= table.until:
        yield "until", "is not after start"
    one = _silence(table)
    why = one.why if table.why is not None else "missing"  # which is reported above
    for field, problem in limit_problems(
        match=one.match, integrations=one.integrations, why=why, author=one.author, end_ms=one.end_ms
    ):
        yield ("until" if field == "end_ms" else field), problem
    yield from condition_problems("match", table.match or (), names)


def _silence(table: SilenceTable) -> FileSilence:
    return FileSilence(
        match=table.match or (),
        integrations=table.integrations or (),
        start_ms=_ms(table.start),
        end_ms=_ms(table.until) or 0,
        why=table.why or "",
        author=table.author or "courier.toml",
        announce=bool(table.announce),
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
