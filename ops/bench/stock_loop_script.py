"""The script that `stock_loop` starts for each alert: it posts a Slack message with `requests`.

python stock_loop_script.py ALERT_FILE API_KEY HOOK_URL
"""

import json
import sys
from pathlib import Path

import requests

alert = json.loads(Path(sys.argv[1]).read_text())
fields = [{"title": "Agent", "value": alert["agent"]["name"]}, {"title": "Rule", "value": alert["rule"]["id"]}]
attachment = {"title": alert["rule"]["description"], "text": alert["full_log"], "fields": fields, "ts": alert["id"]}
headers = {"content-type": "application/json"}
requests.post(sys.argv[3], data=json.dumps({"attachments": [attachment]}), headers=headers, timeout=10)
