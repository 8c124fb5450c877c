"""The table of intended differences: D1 to D20 of the design, and C1 and on, which the comparison found.

deviations.toml has the texts: what the stock Integrator does, what Courier does, why, and what an operator notices.
This module has, for each family, exact predicates over a recorded case and Courier's result. A predicate holds only if
the case has the cause *and* the result is the one that the table promises. A case that no predicate explains is
*different*.

`python -m tests.conformance.render` writes ops/docs/compatibility.md from both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance import alert_text as text
from tests.conformance import config_deviations as config
from tests.conformance import deliveries_composed as composed
from tests.conformance import deliveries_lookups as lookups
from tests.conformance import deliveries_messages as messages
from tests.conformance import filters_deviations as filters
from tests.conformance import sregex
from tests.conformance import tail_deviations as tail
from tests.conformance.case import Case

Predicate = Callable[[Case, Any], bool]


class Deviation(NamedTuple):
    """One row. `holds` is empty if no recording can show the difference, because it depends on machine or clock."""

    id: str
    stock: str
    courier: str
    reason: str
    seen: str
    holds: Mapping[str, tuple[Predicate, ...]]

    def explains(self, family: str, case: Case, ours: Any) -> bool:
        """Return whether this explains why case and result differ. A predicate that raises explains nothing."""
        return any(_tried(predicate, case, ours) for predicate in self.holds.get(family, ()))


def _tried(predicate: Predicate, case: Case, ours: Any) -> bool:
    try:
        return predicate(case, ours)
    except Exception:  # noqa: BLE001 — a case must not end the run, whatever it contains
        return False


HOLDS: Mapping[str, Mapping[str, tuple[Predicate, ...]]] = {
    "D1": {
        "config": (config.survives,),
        "filters": (filters.survives,),
        "alert_text": (text.survives,),
    },
    "D2": {
        "filters": (partial(filters.accepts_the_line, "D2"),),
        "alert_text": (partial(text.accepts_the_line, "D2"),),
        "tail": (tail.accepts_long_or_padded_lines,),
    },
    "D3": {
        "filters": (filters.reads_keys_like_standard_json,),
        "alert_text": (text.reads_keys_like_standard_json,),
    },
    "D4": {
        "alert_text": (text.passes_on_the_original_bytes,),
        "deliveries": (
            composed.sends_what_the_line_says,
            composed.sends_numbers_as_written,
            composed.sends_long_integers,
        ),
    },
    "D5": {"sregex": (sregex.matches_as_bytes,), "filters": (filters.matches_non_ascii,)},
    "D6": {"config": (config.reads_all_but_the_bad_block,)},
    "D7": {"config": (partial(config.refuses, "rule_id"),), "filters": (partial(filters.refuses, "rule_id"),)},
    "D8": {"config": (config.reads_other_xml,)},
    "D9": {"deliveries": (messages.goes_by_the_status, lookups.stops_at_a_redirect)},
    "D10": {"deliveries": (messages.improves_pagerduty_events,)},
    "D11": {
        "deliveries": (
            lookups.skips_without_hash,
            lookups.reports_errors_after_the_last_attempt,
            lookups.retries_later,
        )
    },
    "D12": {"deliveries": (lookups.handles_each_lookup_separately,)},
    "D13": {
        "config": (partial(config.refuses, "options"),),
        "filters": (partial(filters.refuses, "options"),),
        "deliveries": (composed.refuses_broken_options,),
    },
    "D14": {"alert_text": (text.works_on_a_copy,)},
    "D15": {"filters": (filters.passes_vectors,)},
    "D17": {"deliveries": (composed.reads_the_json_alert,)},
    "D19": {"deliveries": (composed.escapes_alert_text,)},
    "D20": {"config": (config.removes_blanks,), "filters": (filters.removes_blanks,)},
    "C1": {"config": (config.reads_blocks_whatever_is_around,)},
    "C2": {"config": (partial(config.refuses, "hook_url"),), "filters": (partial(filters.refuses, "hook_url"),)},
    "C3": {"config": (partial(config.refuses, "no text"),), "filters": (partial(filters.refuses, "no text"),)},
    "C4": {
        "filters": (partial(filters.accepts_the_line, "C4"),),
        "alert_text": (partial(text.accepts_the_line, "C4"),),
        "tail": (partial(tail.accepts_dropped_lines, "C4"),),
    },
    "C6": {
        "filters": (partial(filters.accepts_the_line, "C6"),),
        "alert_text": (partial(text.accepts_the_line, "C6"),),
        "tail": (partial(tail.accepts_dropped_lines, "C6"), tail.continues_after_a_nul),
    },
    "C7": {
        "config": (partial(config.refuses, "no JSON number"),),
        "filters": (partial(filters.refuses, "no JSON number"),),
        "deliveries": (composed.refuses_nan,),
    },
    "C8": {"deliveries": (composed.needs_no_file_and_no_arguments,)},
    "C9": {"deliveries": (messages.queues_events_for_the_manager,)},
    "C10": {"deliveries": (messages.refuses_long_datagrams, messages.shortens_long_events)},
    "C11": {"deliveries": (lookups.goes_without_groups, composed.goes_without)},
    "C12": {"deliveries": (lookups.accepts_malformed_blacklist,)},
    "C13": {"deliveries": (composed.skips_lookups_without_agent,)},
    "C14": {"deliveries": (composed.quotes_values, composed.leaves_out_dot_segments)},
    "C15": {"deliveries": (composed.refuses_settings,)},
    "C16": {"deliveries": (lookups.sends_partial_verdict,)},
    "C17": {"deliveries": (composed.makes_lookups_despite_limits,)},
    "C18": {"config": (config.refuses_a_file_without_root,)},
    "C19": {"tail": (tail.completes_the_first_line,)},
    "C20": {"tail": (tail.reads_a_copy_once,)},
    "C21": {"tail": (partial(tail.keeps_reading_after, "truncate"),)},
    "C22": {"tail": (partial(tail.keeps_reading_after, "delete"),)},
    "C23": {"tail": (partial(tail.keeps_reading_after, "rotate"),)},
    "C27": {"config": (partial(config.refuses, "max_log"),), "filters": (partial(filters.refuses, "max_log"),)},
    "C31": {"deliveries": (messages.cuts_long_texts, composed.leaves_out_long_values)},
    "C32": {
        "filters": (filters.accepts_whole_alerts,),
        "alert_text": (text.accepts_whole_alerts,),
        "tail": (tail.accepts_whole_alerts,),
    },
    "C33": {"deliveries": (composed.ignores_the_case_of_the_scheme,)},
}
"""Id → family → predicates."""


def _table() -> tuple[Deviation, ...]:
    texts = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return tuple(Deviation(id=name, holds=HOLDS.get(name, {}), **row) for name, row in texts.items())


DEVIATIONS = _table()
"""If several explain a case, the first one counts."""
