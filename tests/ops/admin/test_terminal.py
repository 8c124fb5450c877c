from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ops.admin.terminal import Column, ColumnKind, lines, plain, truncate

ID = st.text(st.sampled_from("abcdefghij0123456789-_."), min_size=1, max_size=64)
NUMBER = st.integers(0, 10**9).map(str) | st.just("")
TEXT = st.text(max_size=200).map(plain)
WIDTH = st.integers(60, 200)
COLUMNS = (
    Column("Integration", ColumnKind.ID),
    Column("Waiting", ColumnKind.NUMBER, rank=0),
    Column("Delivered", ColumnKind.NUMBER, rank=3),
    Column("Held back", rank=1),
    Column("Last error", rank=2),
)


@given(rows=st.lists(st.tuples(ID, NUMBER, NUMBER, TEXT, TEXT), max_size=5), width=WIDTH)
def test_row_fits_the_width_and_keeps_its_id(rows: list[tuple[str, ...]], width: int) -> None:
    titles, *drawn = lines(COLUMNS, rows, width)
    assert len(drawn) == len(rows)
    needed = max([len("Integration"), *(len(row[0]) for row in rows)]) + len("  Waiting") + 2
    for row, line in zip(rows, drawn, strict=True):
        assert line.split("  ")[0].rstrip() == row[0]
        assert row[1] in line
        assert cell_len(line) <= max(width, needed + 2)
        assert "\n" not in line
    assert "Integration" in titles


@given(st.text(), st.integers(1, 50))
def test_truncated_text_fills_the_width_and_ends_with_ellipsis(text: str, width: int) -> None:
    text = plain(text)
    short = truncate(text, width)
    assert cell_len(short) <= width
    assert short == text or short.endswith("…")


@given(st.text())
def test_plain_text_has_no_control_characters(text: str) -> None:
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\u202a\u202e\u2066" for c in plain(text))


def test_empty_then_least_important_columns_are_omitted() -> None:
    row = ("slack", "3", "", "paused", "an error")
    assert lines(COLUMNS, [row], 80)[0].split() == ["Integration", "Waiting", "Held", "back", "Last", "error"]
    assert lines(COLUMNS, [row], 30)[0].split() == ["Integration", "Waiting"]
