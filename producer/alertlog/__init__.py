"""The manager's alert log as a source of lines: `alerts.json`, its dated files and their archives.

log.py        what the producer calls: reads on from a cursor, and from one file to the next
position.py   cursors, and the fingerprint that names a file wherever it is and however it is packed
folder.py     which files there are
order.py      which of them comes next, and what is missing between two
reader.py     one place in one file: complete lines out of blocks of bytes
content.py    the bytes of one file, plain or compressed
lag.py        how far a place is behind the end
watch.py      waits until the log has changed
"""

from producer.alertlog.follower import AlertLog
from producer.alertlog.watch import Watcher

__all__ = ["AlertLog", "Watcher"]
