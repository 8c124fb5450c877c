from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.settings.units import BYTES, MILLISECONDS, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30.0), ("5m", 300.0), ("2h", 7200.0), ("3d", 259_200.0), ("0s", 0.0), ("1 s", 1.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("512B", 512), ("64KiB", 65_536), ("16MiB", 2**24), ("4GiB", 2**32)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-1s", "1.5h", "1h30m", "30S", "1 000s", "٣s", "1s\n", "9" * 5000 + "s"]
)
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not|has the unit)"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["64KB", "64kib", "64K", "64"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not|has the unit)"):
        parse_size(text)


@given(st.integers(0, 999_999_999), st.sampled_from(sorted(MILLISECONDS)))
def test_a_duration_survives_the_round_trip(number: int, unit: str) -> None:
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 999_999_999), st.sampled_from(sorted(BYTES)))
def test_a_size_survives_the_round_trip(number: int, unit: str) -> None:
    size = parse_size(f"{number}{unit}")
    assert parse_size(format_size(size)) == size


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0
