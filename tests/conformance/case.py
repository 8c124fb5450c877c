"""One recorded case, and how its fields hold bytes."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Case = dict[str, Any]


def cases(file: Path) -> Iterator[Case]:
    """Yield the records of a vector file."""
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def field_bytes(case: Case, name: str) -> bytes:
    """Return a field that is text, or base64 where it is not UTF-8."""
    encoded = case.get(f"{name}_b64")
    return str(case[name]).encode("utf-8", "surrogateescape") if encoded is None else b64decode(encoded)


def field_text(case: Case, name: str) -> str:
    """Return the same, bytes that are not UTF-8 as lone surrogates."""
    return field_bytes(case, name).decode("utf-8", "surrogateescape")


def with_field(case: Case, name: str, content: bytes) -> Case:
    """Return the case with another content of a field."""
    rest = {key: value for key, value in case.items() if key not in {name, f"{name}_b64"}}
    return {**rest, name: content.decode("utf-8", "surrogateescape")}
