from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger import Facts, Ledger
from common.ledger.history import encode_facts
from common.ledger.keys import history_key
from ops.admin.history import Selection
from ops.admin.history_search import PagePlace, read_page, words_matcher

if TYPE_CHECKING:
    import redis


def test_a_page_reads_a_bounded_number_of_entries_and_the_next_one_goes_on(client: redis.Redis) -> None:
    for number in range(10):
        facts = encode_facts(Facts(f"1.{number}", "5712" if number == 0 else "1"))
        fields = {"id": f"d-{number}", "outcome": "delivered", "reason": "", "facts": facts}
        client.xadd(history_key("slack"), fields, id=f"1000-{number}")  # type: ignore[arg-type]  # a dict is invariant
    wanted, place, read = Selection(rule=words_matcher("5712")), None, list[int]()
    while True:
        page = read_page(
            Ledger(client), ["slack"], wanted, since_ms=0, until_ms=None, place=place, size=5, max_searched=4
        )
        read.append(page.searched)
        if page.older is None:
            break
        assert page.entries == []
        place = PagePlace.parse(str(page.older))
    assert read == [4, 4, 2]
    assert [one.delivery for one in page.entries] == ["d-0"]


@pytest.mark.parametrize("text", ["", "1", "-1", "1-", "1-x", "1-1-1", "999999999999999-1", "\u0661-1"])
def test_other_texts_are_no_places(text: str) -> None:
    with pytest.raises(ValueError, match="is not the beginning"):
        PagePlace.parse(text)
