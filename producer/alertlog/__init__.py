"""The manager's alert log as a source of lines: `alerts.json`, its dated files and their archives.

alert_log.py    the source, all that the producer sees
follower.py     reads from a cursor, and continues from one file to the next
log_lines.py    the lines of one read
cursor.py       cursors, and the fingerprint that identifies a file after it was renamed or compressed
find.py         a line by its id, and the last lines, for operators' commands
seek.py         cursors for a new reader: beginning, end, a time, a file and offset
directory.py    lists the files
rotation.py     which file comes next, and what is missing between two files
open_files.py   the readers that stay open between reads
line_reader.py  reads one file and splits blocks of bytes into complete lines
log_file.py     the bytes of one file, plain or compressed
lag.py          how far a cursor is behind the end
watch.py        waits until the log changes
launch.py       the cursor at the time when the command was started
"""

from producer.alertlog.alert_log import AlertLog

__all__ = ["AlertLog"]
