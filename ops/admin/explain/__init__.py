"""What became of an alert, for each integration: `courier explain`, and the console.

subject.py        the alert to explain: its bytes, its line in the log, its delivery id
search.py         finds an alert by its own id, near the time that the id holds
model.py          the report, typed; `--json` writes exactly this
ledger.py         what Redis knows: deliveries, statuses, cursors, reports
ledger_search.py  the alerts that Redis knows by an id: if the log does not have it, or is on another host
case.py           one alert and one integration, all that the steps may look at
waiting.py        why a delivery waits: a list of reasons, one function each
deliveries.py     one delivery that the ledger holds, as the report shows it
steps.py          what became of an alert that the ledger does not hold: a list of steps, one function each
folded.py         the digest into which an alert was folded, as far as one can tell
explainer.py      puts the report together
show.py           the report as text
timeline.py       the report as a list of events, for the console
"""

from ops.admin.explain.explainer import Explainer
from ops.admin.explain.model import AlertReport
from ops.admin.explain.search import Missing

__all__ = ["AlertReport", "Explainer", "Missing"]
