"""What `courier check` looks at: the blocks of ossec.conf, their scripts, needed places, the latest alerts.

finding.py   one thing that was found, and how bad it is
filters.py   the filters of a block in words
places.py    alert log, state folder, queue socket
scripts.py   whether each custom script can be run, by the worker's own check
recent.py    how many of the last alerts each block takes, by the producer's own filters
report.py    all of it together
show.py      as a table and lines, or as JSON
"""

from ops.admin.check.report import Report, make_report
from ops.admin.check.show import as_json, show

__all__ = ["Report", "as_json", "make_report", "show"]
