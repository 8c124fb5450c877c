"""Finds what informs a person most in `data` and `syscheck` of an alert.

Seven of ten public sample alerts have no log line: Windows events, cloud services, vulnerabilities, file changes. What
happened is then in these leaves, among dozens of ids, hashes and times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.templates.values import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_HIGHLIGHTS: Final = 8
"""Leaves that are shown."""

MAX_SCANNED: Final = 200
"""Leaves that are looked at, however many a hostile alert has."""

MAX_DEPTH: Final = 8

MAX_VALUE_CHARS: Final = 300
"""Characters that are kept of a value. Other leaves than those of PREFERRED are shown only if they are not longer."""

PREFERRED: Final = (
    # who and from where: decoders of logs, Suricata
    *("srcip", "src_ip", "srcuser", "dstuser", "user", "dstip", "dest_ip", "dstport", "dest_port"),
    *("alert.signature", "alert.category", "alert.severity", "action", "command", "url", "status", "protocol"),
    # Windows, from the channels Security and Sysmon
    *("win.system.eventID", "win.eventdata.targetUserName", "win.eventdata.subjectUserName"),
    *("win.eventdata.ipAddress", "win.eventdata.workstationName", "win.eventdata.logonType"),
    *("win.eventdata.image", "win.eventdata.commandLine", "win.eventdata.parentImage", "win.eventdata.user"),
    *("win.eventdata.targetFilename", "win.eventdata.targetObject", "win.eventdata.destinationIp"),
    *("win.eventdata.queryName", "win.eventdata.serviceName", "win.eventdata.scriptBlockText"),
    # file integrity
    *("syscheck.path", "syscheck.event", "syscheck.value_name", "syscheck.changed_attributes"),
    *("syscheck.uname_after", "syscheck.audit.user.name", "syscheck.audit.process.name", "syscheck.sha256_after"),
    # vulnerabilities, configuration assessment, malware
    *("vulnerability.cve", "vulnerability.severity", "vulnerability.package.name", "vulnerability.package.version"),
    *("vulnerability.score.base", "vulnerability.status", "vulnerability.title"),
    *("sca.check.title", "sca.check.result", "sca.check.previous_result", "sca.policy", "sca.score"),
    *("virustotal.source.file", "virustotal.malicious", "virustotal.positives", "virustotal.permalink"),
    *("YARA.rule_name", "YARA.scanned_file", "title", "file"),
    # Linux audit, containers
    *("audit.exe", "audit.command", "audit.file.name", "audit.key", "audit.success"),
    *("docker.Action", "docker.Actor.Attributes.name", "docker.Actor.Attributes.image", "docker.Type"),
    # cloud services
    *("aws.eventName", "aws.userIdentity.arn", "aws.userIdentity.userName", "aws.sourceIPAddress"),
    *("aws.errorCode", "aws.awsRegion", "aws.source", "aws.title", "aws.severity"),
    *("office365.Operation", "office365.UserId", "office365.ClientIP", "office365.ResultStatus"),
    *("office365.ObjectId", "office365.Workload"),
    *("gcp.protoPayload.methodName", "gcp.protoPayload.authenticationInfo.principalEmail"),
    *("gcp.protoPayload.requestMetadata.callerIp", "gcp.resource.type"),
    *("github.action", "github.actor", "github.repo", "github.org"),
    *("ms-graph.title", "ms-graph.severity", "ms-graph.category", "ms-graph.userPrincipalName"),
    # packages and services of a host
    *("package", "version", "dpkg_status", "hostname", "extra_data"),
)
"""Leaves in the order of their weight. A leaf of `data` is named without `data.`."""

_RANK: Final[Mapping[str, int]] = {path: rank for rank, path in enumerate(PREFERRED)}

_NOISE: Final = (
    *("id", "guid", "time", "timestamp", "date", "version", "hash", "hashes", "md5", "sha1", "sha256", "sid", "opcode"),
    *("keywords", "task", "channel", "message", "severityvalue", "description", "remediation", "rationale"),
    *("reference", "integration", "inode", "perm", "mtime", "uid", "gid", "attrs"),
)
"""Ends of names, in lower case, whose values say little to a person. They are shown only if they are in PREFERRED."""

_PREFIXES: Final = ("win.eventdata.", "win.system.", "syscheck.")
"""Beginnings of paths that a reader does not need."""


def highlights(alert: dict[str, Any]) -> list[tuple[str, str]]:
    """Return at most MAX_HIGHLIGHTS pairs of name and text, none of them escaped, the most informative ones first."""
    ranked: list[tuple[int, str, str]] = []
    for scanned, (path, value) in enumerate(_leaves(alert)):
        if scanned >= MAX_SCANNED:
            break
        rank = _RANK.get(path)
        if value is None or value == "" or (rank is None and _is_noise(path)):
            continue
        text = text_of(value)
        if rank is None and len(text) > MAX_VALUE_CHARS:
            continue
        ranked.append((len(_RANK) + scanned if rank is None else rank, path, text[:MAX_VALUE_CHARS]))
    ranked.sort()
    return [(_label(path), text) for _, path, text in ranked[:MAX_HIGHLIGHTS]]


def _leaves(alert: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the paths and values of `data` and `syscheck`; a list of plain values is one leaf."""
    pending: list[tuple[str, Any, int]] = []
    for name, prefix in (("syscheck", "syscheck"), ("data", "")):
        if isinstance(part := alert.get(name), dict):
            pending.append((prefix, part, 0))
    while pending:
        path, value, depth = pending.pop()
        if isinstance(value, dict):
            if depth < MAX_DEPTH:
                members = list(value.items())[:MAX_SCANNED]
                pending += [(f"{path}.{name}" if path else name, one, depth + 1) for name, one in reversed(members)]
        elif not isinstance(value, list):
            yield path, value
        elif value and not any(isinstance(one, dict | list) for one in value[:MAX_DEPTH]):
            yield path, ", ".join([text_of(one) for one in value[:MAX_DEPTH]])


def _is_noise(path: str) -> bool:
    name = path.rpartition(".")[2].lower()
    return name.removesuffix("_after").removesuffix("_before").endswith(_NOISE) or path.endswith("_before")


def _label(path: str) -> str:
    for prefix in _PREFIXES:
        if path.startswith(prefix):
            return path.removeprefix(prefix)
    return path
