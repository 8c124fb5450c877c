"""The checks of `courier check`: the blocks of ossec.conf, their scripts, paths, and matches in recent alerts.

finding.py   one finding and its severity
filters.py   the filters of a block as text
nodes.py     other managers with the same Redis
paths.py     alert log, state folder, queue socket
apprise.py   whether Apprise accepts the hook_url of its integrations
scripts.py   whether each custom script can run, with the worker's own check
recent.py    how many recent alerts each block matches, with the producer's own filters
floods.py    integrations that a flood of the last day would have kept behind
report.py    the complete report
show.py      output as text or JSON
"""

from ops.admin.check.report import Report, make_report
from ops.admin.check.show import as_json, show

__all__ = ["Report", "as_json", "make_report", "show"]
