"""A log like a manager's: 200,000 alerts, 1.5 KB each, 3 % of them of level 10 or more, from 500 agents.

It is generated once per machine and kept in the temporary folder. The same seed gives the same bytes. Alerts differ as
on a manager, in agent, times, addresses, users and digests; a third has no `full_log`.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT: Final = 200_000
SEED: Final = 1
VERSION: Final = 1
"""Increase it with each change of the content, so that no old file is used."""

START_S: Final = 1_767_225_600
"""2026-01-01, in seconds since the epoch."""

A_SECOND: Final = 250
USERS: Final = ("root", "admin", "deploy", "postgres", "m.garcía", "j.müller", "svc_monitor")
NODES: Final = ("master-node", "worker-1", "worker-2")
FRAMEWORKS: Final = {
    "gdpr": ["IV_35.7.d", "IV_32.2"],
    "gpg13": ["7.1"],
    "hipaa": ["164.312.b"],
    "nist_800_53": ["AU.14", "AC.7", "SI.4"],
    "pci_dss": ["10.2.4", "10.2.5", "11.4"],
    "tsc": ["CC6.1", "CC6.8", "CC7.2", "CC7.3"],
}
SYSLOG: Final = "{stamp} {host} %s[{pid}]: %s"
MITRE: Final = {"id": ["T1110.001"], "tactic": ["Credential Access"], "technique": ["Password Guessing"]}
LOGON: Final = (
    '"An account %s.\r\n\r\nSubject:\r\n\tSecurity ID:\t\tS-1-5-18\r\n\tAccount Name:\t\t{host}$\r\n\tAccount Domain:'
    "\t\tCORP\r\n\tLogon ID:\t\t0x3E7\r\n\r\nLogon Information:\r\n\tLogon Type:\t\t3\r\n\tRestricted Admin Mode:\t-"
    "\r\n\tVirtual Account:\t\tNo\r\n\tElevated Token:\t\tYes\r\n\r\nImpersonation Level:\t\tImpersonation\r\n\r\n"
    "New Logon:\r\n\tSecurity ID:\t\tS-1-5-21-1004336348-1177238915-682003330-{pid}\r\n\tAccount Name:\t\t{user}"
    "\r\n\r\nProcess Information:\r\n\tProcess ID:\t\t0x{pid}\r\n\tProcess Name:\t\tC:\\Windows\\System32\\svchost.exe"
    "\r\n\r\nNetwork Information:\r\n\tWorkstation Name:\t{host}"
    '\r\n\tSource Network Address:\t{ip}\r\n\tSource Port:\t\t{port}\r\n"'
)


class Kind(NamedTuple):
    """A kind of alert; `{name}` in its texts stands for what differs. `weight` is how many in a thousand."""

    weight: int
    level: int
    rule_id: str
    description: str
    groups: str
    location: str
    content: dict[str, Any]


def _syslog(program: str, message: str, repeated: int = 0) -> dict[str, Any]:
    line = SYSLOG % (program, message)
    earlier = {"previous_output": "\n".join([line] * repeated)} if repeated else {}
    predecoder = {"program_name": program, "timestamp": "{stamp}", "hostname": "{host}"}
    data = {"srcip": "{ip}", "srcport": "{port}", "srcuser": "{user}"}
    return earlier | {"full_log": line, "predecoder": predecoder, "decoder": {"name": program}, "data": data}


def _windows(event: str, what: str) -> dict[str, Any]:
    system = {
        "providerName": "Microsoft-Windows-Security-Auditing",
        "eventID": event,
        "level": "0",
        "task": "12544",
        "keywords": "0x8020000000000000",
        "channel": "Security",
        "computer": "{host}.corp.example",
        "message": LOGON % what,
    }
    data = {
        "subjectUserSid": "S-1-5-18",
        "targetUserName": "{user}",
        "logonType": "3",
        "ipAddress": "{ip}",
        "processName": "C:\\\\Windows\\\\System32\\\\svchost.exe",
    }
    return {"decoder": {"name": "windows_eventchannel"}, "data": {"win": {"system": system, "eventdata": data}}}


def _syscheck(event: str) -> dict[str, Any]:
    digests = {f"{name}_{when}": f"{{{name}}}" for when in ("before", "after") for name in ("md5", "sha1", "sha256")}
    text = f"File '/etc/ssh/sshd_config' {event}\nMode: realtime\n" + "\n".join(
        f"{k}: '{v}'" for k, v in digests.items()
    )
    check = {"path": "/etc/ssh/sshd_config", "mode": "realtime", "size_after": "{port}", "perm_after": "rw-r--r--"}
    extra = {"uid_after": "0", "uname_after": "root", "changed_attributes": ["size", "mtime", "md5", "sha1", "sha256"]}
    return {"full_log": text, "syscheck": check | digests | extra | {"event": event}, "decoder": {"name": "syscheck"}}


def _check(result: str) -> dict[str, Any]:
    check = {
        "id": "{port}",
        "title": "Ensure permissions on /etc/crontab are configured.",
        "description": "The /etc/crontab file is used by cron to control its own jobs. The commands in this item make "
        "sure that root is the user and group owner of the file and that only the owner can access the file.",
        "rationale": "This file contains information on what system jobs are run by cron. Write access to these files "
        "could provide unprivileged users with the ability to elevate their privileges.",
        "compliance": FRAMEWORKS,
        "result": result,
    }
    return {
        "decoder": {"name": "sca"},
        "data": {"sca": {"type": "check", "policy": "CIS Ubuntu 22.04", "check": check}},
    }


FAILED: Final = "Failed password for invalid user {user} from {ip} port {port} ssh2"
WEB: Final = '{ip} - - [{stamp}] "GET /wp-login.php?id={port} HTTP/1.1" 404 162 "-" "Mozilla/5.0 (X11)"'
KINDS: Final = (
    Kind(
        100,
        5,
        "5710",
        "sshd: Attempt to login using a non-existent user",
        "syslog,sshd,invalid_login",
        "/var/log/auth.log",
        _syslog("sshd", FAILED),
    ),
    Kind(
        20,
        10,
        "5712",
        "sshd: brute force trying to get access",
        "syslog,sshd,authentication_failures",
        "/var/log/auth.log",
        _syslog("sshd", FAILED, 7),
    ),
    Kind(
        170,
        3,
        "5501",
        "PAM: Login session opened.",
        "pam,syslog,authentication_success",
        "/var/log/auth.log",
        _syslog("sshd", "session opened for user {user}"),
    ),
    Kind(
        51,
        3,
        "5402",
        "Successful sudo to ROOT executed.",
        "syslog,sudo",
        "/var/log/auth.log",
        _syslog("sudo", "{user} : TTY=pts/0 ; USER=root"),
    ),
    Kind(
        120, 7, "550", "Integrity checksum changed.", "ossec,syscheck,syscheck_file", "syscheck", _syscheck("modified")
    ),
    Kind(60, 5, "554", "File added to the system.", "ossec,syscheck,syscheck_file", "syscheck", _syscheck("added")),
    Kind(
        230,
        3,
        "60106",
        "Windows Logon Success",
        "windows,windows_security,authentication_success",
        "EventChannel",
        _windows("4624", "was successfully logged on"),
    ),
    Kind(
        80,
        5,
        "60122",
        "Logon Failure - Unknown user or bad password",
        "windows,windows_security,authentication_failed",
        "EventChannel",
        _windows("4625", "failed to log on"),
    ),
    Kind(
        6,
        12,
        "60204",
        "Multiple Windows Logon Failures",
        "windows,authentication_failures",
        "EventChannel",
        _windows("4625", "failed to log on"),
    ),
    Kind(
        99,
        5,
        "31101",
        "Web server 400 error code.",
        "web,accesslog,attack",
        "/var/log/nginx/access.log",
        _syslog("nginx", WEB),
    ),
    Kind(
        4,
        15,
        "31168",
        "Shellshock attack detected",
        "web,accesslog,attack",
        "/var/log/nginx/access.log",
        _syslog("nginx", WEB),
    ),
    Kind(32, 3, "19008", "CIS Ubuntu 22.04: a check passed", "sca", "sca", _check("passed")),
    Kind(28, 7, "19007", "CIS Ubuntu 22.04: a check failed", "sca", "sca", _check("failed")),
)


def _template(kind: Kind) -> str:
    """Return the alert as a %-format, in a manager's order of keys."""
    rule = {"level": kind.level, "description": kind.description, "id": kind.rule_id, "mitre": MITRE}
    rule |= {"firedtimes": 1, "mail": kind.level >= 12, "groups": kind.groups.split(",")} | FRAMEWORKS
    agent = {"id": "{agent}", "name": "{host}", "ip": "10.20.3.72"}
    head = {"timestamp": "{time}", "rule": rule, "agent": agent, "manager": {"name": "wazuh-master"}, "id": "{id}"}
    alert = head | {"cluster": {"name": "wazuh", "node": "{node}"}} | kind.content | {"location": kind.location}
    text = json.dumps(alert, separators=(",", ":"), ensure_ascii=False).replace("%", "%%")
    for name in ("agent", "host", "time", "id", "node", "stamp", "pid", "user", "ip", "port", "md5", "sha1", "sha256"):
        text = text.replace(f"{{{name}}}", f"%({name})s")
    return text + "\n"


def lines(count: int = COUNT, seed: int = SEED) -> Iterator[bytes]:
    """Yield `count` alerts as lines of the log."""
    chance = random.Random(seed)  # noqa: S311 — the sequence must be reproducible
    templates, weights = [_template(kind) for kind in KINDS], list(accumulate(kind.weight for kind in KINDS))
    offset = 0
    for n in range(count):
        second, agent = START_S + n // A_SECOND, chance.randrange(1, 501)
        at, digest = time.gmtime(second), f"{chance.getrandbits(256):064x}"
        line = chance.choices(templates, cum_weights=weights)[0] % {
            "agent": f"{agent:03}",
            "host": f"web-{agent:03}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", at) + f".{n % A_SECOND * 4:03}+0000",
            "id": f"{second}.{offset}",
            "node": NODES[n % len(NODES)],
            "stamp": time.strftime("%b %d %H:%M:%S", at),
            "pid": chance.randrange(1000, 32768),
            "user": chance.choice(USERS),
            "ip": f"203.0.113.{chance.randrange(1, 255)}",
            "port": chance.randrange(1024, 65536),
            "md5": digest[:32],
            "sha1": digest[:40],
            "sha256": digest,
        }
        raw = line.encode()
        offset += len(raw)
        yield raw


def corpus(count: int = COUNT) -> Path:
    """Return the path of the file; generate the file first if it does not exist."""
    path = Path(tempfile.gettempdir()) / f"courier-corpus-{VERSION}-{SEED}-{count}.json"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            file.writelines(lines(count))
        unfinished.replace(path)
    return path
