"""A block for each service, with a secret in every place that takes one: what the tests of all services share.

A new service needs a line here. Then each of those tests fails until it knows the service (`make service`).
"""

from __future__ import annotations

from typing import Any

TOKEN = "c4n4ry-0123456789abcdef"
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLsZi"
PASSWORD = "p4ssw0rd-of-the-proxy"
SETTINGS: dict[str, dict[str, Any]] = {
    "slack": {"hook_url": f"https://me:{PASSWORD}@hooks.example.com/services/T0/{TOKEN}?key={TOKEN}"},
    "shuffle": {"hook_url": f"https://hooks.example.com/{TOKEN}", "options": f'{{"authorization": "Bearer {TOKEN}"}}'},
    "pagerduty": {"api_key": TOKEN, "options": f'{{"routing_key": "{TOKEN}-other"}}'},
    "virustotal": {"api_key": TOKEN},
    "maltiverse": {"hook_url": f"https://api.example.com/{TOKEN}", "api_key": TOKEN},
    "teams": {"hook_url": f"https://me:{PASSWORD}@h.example/workflows/{TOKEN}/paths/invoke?sig={TOKEN}"},
    "discord": {"hook_url": f"https://discord.example/api/webhooks/1/{TOKEN}", "discord": {"thread_id": "42"}},
    "googlechat": {"hook_url": f"https://chat.example/v1/spaces/A/messages?key={TOKEN}&token={TOKEN}"},
    "mattermost": {"hook_url": f"https://chat.example/hooks/{TOKEN}", "options": f'{{"props": {{"card": "{TOKEN}"}}}}'},
    "rocketchat": {"hook_url": f"https://me:{PASSWORD}@chat.example/hooks/1/{TOKEN}"},
    "webhook": {
        "hook_url": f"https://me:{PASSWORD}@hooks.example.com/{TOKEN}",
        "webhook": {"headers": {"Authorization": f"Bearer {TOKEN}"}, "signing_secret": SIGNING_SECRET},
    },
    "telegram": {"api_key": f"123456789:{TOKEN}", "telegram": {"chat": -1001234567890}},
    "ntfy": {"hook_url": f"https://me:{PASSWORD}@ntfy.example.com/{TOKEN}", "api_key": f"tk_{TOKEN}"},
    "email": {
        "hook_url": "smtp://mail.example.com",
        "email": {"from": "a@example.org", "to": "b@example.org", "user": "me", "password": PASSWORD},
    },
    "jira": {
        "hook_url": "https://soc.atlassian.net",
        "api_key": TOKEN,
        "jira": {"project": "SOC", "user": "soc@example.com"},
    },
    "thehive": {"hook_url": "https://hive.example.com", "api_key": TOKEN},
    "iris": {"hook_url": "https://iris.example.com", "api_key": TOKEN},
    "splunk-hec": {"hook_url": f"https://me:{PASSWORD}@splunk.example.com:8088", "api_key": TOKEN},
    "syslog": {"syslog": {"address": "siem.example.com:6514"}},
    "apprise": {"hook_url": f"json://me:{PASSWORD}@hooks.example.com/{TOKEN}?+X-Token={TOKEN}"},
}
SECRETS = (TOKEN, PASSWORD, SIGNING_SECRET)
