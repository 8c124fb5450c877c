from __future__ import annotations

import pytest

from common.exact_json import write_json
from workers.alert.alert import Alert


@pytest.mark.parametrize(
    ("raw", "description"),
    [
        (b'{"rule": {"description": "caf\xc3\xa9"}}', "café"),
        (b'{"rule": {"description": "caf\xe9"}}', "caf�"),
        (b'{"rule": {"description": "a\tb\x01"}}', "a\tb\x01"),
        (b'{"rule": {"level": 007, "description": "odd number"}}', "odd number"),
        (b'{"rule": {"description": "first", "description": "last"}}', "last"),
        (b'\xef\xbb\xbf{"rule": {"description": "mark"}}', "mark"),
    ],
)
def test_every_line_that_filters_accept_has_fields(raw: bytes, description: str) -> None:
    assert Alert(raw).fields["rule"]["description"] == description


def test_numbers_keep_their_digits() -> None:
    text = '{"a": 1.10, "b": 12345678901234567890, "c": 1e400}'
    assert write_json(Alert(text.encode()).fields) == text


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b'{"a":', b'{"a": NaN}', b"[" * 100_000])
def test_a_line_without_object_raises_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        _ = Alert(raw).fields
