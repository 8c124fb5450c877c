from __future__ import annotations

from common.metrics import TABLE
from common.metrics.labels import ledger_pairs
from ops.docs.render.metrics import PAGE, render


def test_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m ops.docs.render.metrics"


def test_every_metric_and_label_value_is_on_the_page() -> None:
    page = render()
    assert all(f"| `{metric.full_name}` | {metric.type} |" in page for metric in TABLE)
    assert all(f"`{word}`" in page for pair in ledger_pairs() for word in pair if word)
