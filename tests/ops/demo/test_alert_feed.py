from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ops.demo.alert_feed import BURSTS, CHUNK_BYTES, SMALL_BYTES, Feed, bursts
from ops.demo.setup import ALERTS

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.binary(max_size=30), max_size=200))
def test_bursts_add_up_to_the_log(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    pieces = list(bursts(io.BytesIO(content), len(content)))
    assert b"".join(pieces) == content
    assert len(pieces) <= BURSTS


def test_sample_bursts_end_within_a_line() -> None:
    pieces = list(bursts(io.BytesIO(ALERTS.read_bytes()), 1))
    assert len(pieces) == BURSTS
    assert all(not piece.endswith(b"\n") and not after.startswith(b"\n") for piece, after in pairwise(pieces))


def test_large_log_is_read_in_chunks() -> None:
    pieces = bursts(io.BytesIO(b"x" * (CHUNK_BYTES + 1)), SMALL_BYTES + 1)
    assert [len(piece) for piece in pieces] == [CHUNK_BYTES, 1]


def test_feed_records_when_an_alert_was_complete(tmp_path: Path) -> None:
    now = [10.0]
    feed = Feed(tmp_path / "alerts.json", lambda: now[0])
    feed.append(b'{"id":"1.1"}\nno json\n{"id"')
    now[0] = 11.0
    feed.append(b':"1.2"}')
    assert (feed.lines, feed.since_s("1.2", 12.0)) == (2, None)
    feed.finish()
    feed.finish()
    assert (feed.lines, feed.since_s("1.1", 12.0), feed.since_s("virustotal 1.2", 12.5)) == (3, 2.0, 1.5)
    assert feed.since_s("1.2", 5.0) == 0.0
    assert (tmp_path / "alerts.json").read_bytes() == b'{"id":"1.1"}\nno json\n{"id":"1.2"}\n'
