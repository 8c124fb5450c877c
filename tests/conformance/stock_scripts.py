"""The five stock scripts, written from the specification (5.1 to 5.6): `recorded` completes a case with what a
recording of it would hold. It agrees with every recorded delivery, so the cases in `made` need no recording.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import requests

from tests.conformance.case import field_bytes
from tests.conformance.config_causes import MERGES_OPTIONS
from tests.conformance.deliveries_stock import Following
from tests.conformance.stock_line import text_of
from tests.conformance.stock_text import Pairs, printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.case import Case

VIRUSTOTAL = "https://www.virustotal.com/vtapi/v2/file/report"
MD5 = re.compile(r"\b([a-f\d]{32}|[A-F\d]{32})\b")
ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?#][^<>\"'{}|\\^`]*)?")
SKIPPED = {
    *("5710", "80710", "86001", "86002", "86003", "87900", "87901", "87902", "87903", "87904"),
    *("87924", "87928", "87929", "87932"),
}
GIVEN = {"id", "integration", "alert", "alert_b64", "alert_file", "argv_count", "config", "responses", "queue"}
"""The fields of a case that are not its outcome."""

WORDS = {204: "Error: Public API request rate limit reached", 403: "Error: Check credentials"}
LEVELS = {"malicious": ("Medium", "High"), "suspicious": ("Low", "Medium")}
LEVELS |= {"neutral": ("None", "Low"), "whitelist": ("None", "Low")}


class Ended(Exception):  # noqa: N818 — no error: the script ends
    """The script ends with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class Run:
    """One run of a script: the session that it asks with, and the messages that it sends to the manager."""

    def __init__(self, case: Case, alert: dict[str, Any]) -> None:
        self.case, self.alert, self.config = case, alert, case["config"]
        self.adapter = Following(case)
        self.session = requests.Session()
        self.session.trust_env = False
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, self.adapter)
        self.options: Any = None
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any], agent: dict[str, Any] | None) -> None:
        """Send an event; a socket that nobody reads ends the scripts in their own ways (spec 7)."""
        tag, name = message["integration"], self.case["integration"]
        prefix = f"1:{tag}:"
        if agent and agent["id"] != "000":
            who = f"[{agent['id']}] ({agent['name']}) {agent.get('ip', 'any')}"
            prefix = f"1:{who.replace('|', '||').replace(':', '|:')}->{tag}:"
        if self.case["queue"] == "missing":
            if name == "virustotal":
                raise Ended(5)
            return
        if self.case["queue"] == "refused":
            raise ConnectionRefusedError if name == "virustotal" else Ended(6)
        self.sent.append({"prefix": prefix, "json": message, "length": len(prefix) + len(json.dumps(message))})


def recorded(case: Case) -> Case:
    """Return a case with `requests`, `exit`, `exception`, `datagrams` and, where it matters, `script_input`."""
    case = {name: value for name, value in case.items() if name in GIVEN}
    case |= _script_input(case)
    run = Run(case, {})
    code, died = 0, None
    try:
        _main(run)
    except Ended as end:
        code = end.code
    except Exception as error:  # noqa: BLE001 — a script dies of any
        code, died = 1, type(error).__name__
    return {**case, "requests": run.adapter.asked, "exit": code, "exception": died, "datagrams": run.sent}


def is_stock(case: Case) -> bool:
    """Return whether a record is what the script does: its requests, how it ended and what it sent to the manager."""
    script = recorded(case)
    ended = (case["exit"], case["exception"]) == (script["exit"], script["exception"])
    sent = [[(one["prefix"], one["json"]) for one in record["datagrams"]] for record in (case, script)]
    return ended and case["requests"] == script["requests"] and sent[0] == sent[1]


def _script_input(case: Case) -> dict[str, str]:
    """Return the alert file as the daemon prints it (spec 4.1), if that says something else than the line."""
    raw = field_bytes(case, "alert")
    text = text_of(raw)
    again = printed(json.loads(text.partition("\0")[0], object_pairs_hook=Pairs, strict=False, parse_int=float))
    return {} if json.loads(again) == json.loads(text, strict=False) else {"script_input": again}


def _main(run: Run) -> None:
    case, name = run.case, run.case["integration"]
    is_maltiverse = name == "maltiverse"
    if case.get("argv_count", 8) < 3:
        raise Ended(2)
    if name in MERGES_OPTIONS:
        run.options = _options(run)
    if case["alert_file"] == "missing":
        raise Ended(3 if is_maltiverse else 6)
    if case["alert_file"] == "text":
        raise Ended(4 if is_maltiverse else 7)
    run.alert = json.loads(case.get("script_input") or text_of(field_bytes(case, "alert")), strict=False)
    _SCRIPTS[name](run)


def _options(run: Run) -> Any:
    """Return the value of the options file; one that is not JSON ends the script before anything else is read."""
    text = run.config["options"] if run.case.get("argv_count", 8) > 5 else None
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise Ended(7) from None


def _post(run: Run, url: str, message: dict[str, Any], *, inner: bool = False) -> None:
    """Merge the options into a message and post it, whatever comes back."""
    if run.options:
        message.update(run.options)
    body = json.dumps({"attachments": [message]} if inner else message)
    headers = {"content-type": "application/json", "Accept-Charset": "UTF-8"}
    run.session.post(url, data=body.encode(), headers=headers, timeout=10)


def _slack(run: Run) -> None:
    alert = run.alert
    level = alert["rule"]["level"]
    color = "good" if level <= 4 else "warning" if level <= 7 else "danger"
    fields = []
    if "agent" in alert:
        fields.append({"title": "Agent", "value": f"({alert['agent']['id']}) - {alert['agent']['name']}"})
    if "agentless" in alert:
        fields.append({"title": "Agentless Host", "value": alert["agentless"]["host"]})
    fields.append({"title": "Location", "value": alert["location"]})
    fields.append({"title": "Rule ID", "value": f"{alert['rule']['id']} _(Level {level})_"})
    message = {"color": color, "pretext": "WAZUH Alert", "title": alert["rule"].get("description", "N/A")}
    message |= {"text": alert.get("full_log"), "fields": fields, "ts": alert["id"]}
    _post(run, run.config["hook_url"], message, inner=True)


def _pagerduty(run: Run) -> None:
    alert = run.alert
    severity = "info" if alert["rule"]["level"] < 7 else "warning"
    payload = {"summary": alert["rule"].get("description", "N/A"), "timestamp": alert["timestamp"]}
    payload |= {"source": alert["agent"]["name"], "severity": severity}
    payload |= {"group": ", ".join(alert["rule"]["groups"]), "custom_details": alert}
    message = {"routing_key": run.config["api_key"], "event_action": "trigger", "payload": payload}
    message |= {"client": "Wazuh Monitoring Service", "client_url": "https://wazuh.com"}
    _post(run, "https://events.pagerduty.com/v2/enqueue", message)


def _shuffle(run: Run) -> None:
    alert = run.alert
    if alert["rule"]["id"] in SKIPPED:
        return
    level = alert["rule"]["level"]
    message: dict[str, Any] = {"severity": 1 if level <= 4 else 2 if level <= 7 else 3, "pretext": "WAZUH Alert"}
    message |= {"title": alert["rule"].get("description", "N/A"), "text": alert.get("full_log")}
    message |= {"rule_id": alert["rule"]["id"], "timestamp": alert["timestamp"], "id": alert["id"], "all_fields": alert}
    _post(run, run.config["hook_url"], message)


def _virustotal(run: Run) -> None:
    alert = run.alert
    syscheck = alert.get("syscheck")
    syscheck = syscheck if isinstance(syscheck, dict) else {}
    md5 = syscheck.get("md5_after")
    if not isinstance(md5, str) or len(MD5.findall(md5)) != 1:
        raise Exception  # noqa: TRY002 — as the script does
    report = _report(run, md5)
    found = not report["response_code"] == 0  # noqa: SIM201 — as the table says it
    source = {"alert_id": alert["id"], "file": syscheck["path"], "md5": md5, "sha1": syscheck["sha1_after"]}
    verdict: dict[str, Any] = {"found": int(found), "malicious": 0, "source": source}
    if found:
        verdict["malicious"] = int(report["positives"] > 0)
        verdict |= {name: report[name] for name in ("sha1", "scan_date", "positives", "total", "permalink")}
    run.send({"virustotal": verdict, "integration": "virustotal"}, alert["agent"])


def _report(run: Run, md5: str) -> Any:
    """Ask as often as `retries` says, as long as no answer comes in time."""
    headers = {"User-Agent": "gzip,  Python library-client-VirusTotal", "Accept-Encoding": "gzip, deflate"}
    params = {"apikey": run.config["api_key"] or "", "resource": md5}
    for _ in range(run.config["retries"] + 1):
        if run.config["timeout"] <= 0:
            raise Ended(4)
        try:
            answer = run.session.get(VIRUSTOTAL, params=params, headers=headers, timeout=run.config["timeout"])
        except requests.Timeout:
            continue
        except requests.RequestException:
            raise Ended(4) from None
        if answer.status_code != 200:
            with suppress(ConnectionRefusedError):
                _failed(run, answer.status_code, WORDS.get(answer.status_code, "Error: API request fail"))
            raise Ended(4)
        try:
            return answer.json()
        except requests.JSONDecodeError:
            raise Ended(4) from None
    return _failed(run, 408, "Error: API request timed out")


def _failed(run: Run, number: int, words: str) -> NoReturn:
    run.send({"virustotal": {"error": number, "description": words}, "integration": "virustotal"}, None)
    raise Ended(4)


class _Lookup(NamedTuple):
    path: str
    name: str
    slug: str


def _maltiverse(run: Run) -> None:
    url = run.config["hook_url"] or ""
    if not ADDRESS.fullmatch(url):
        raise Ended(5)
    headers = {"Accept": "application/json", "Authorization": f"Bearer {run.config['api_key'] or ''}"}
    messages = []
    for one in _lookups(run.alert):
        known = run.session.get(f"{url.rstrip('/')}{one.path}", headers=headers).json()
        if known:
            threat = _threat(known, one)
            messages.append(
                {"integration": "maltiverse", "alert_id": run.alert["id"], "maltiverse": {"source": known}, **threat}
            )
    for message in messages:
        run.send(message, run.alert["agent"])


def _lookups(alert: dict[str, Any]) -> Iterator[_Lookup]:
    syscheck, data = alert.get("syscheck", {}), alert.get("data", {})
    for kind in ("md5", "sha1"):
        if f"{kind}_after" in syscheck:
            value = syscheck[f"{kind}_after"]
            yield _Lookup(f"/sample/{kind}/" + value, value, value)
    if "srcip" in data and _is_public(data["srcip"]):
        yield _Lookup(f"/ip/{data['srcip']}", data["srcip"], data["srcip"])
    if "hostname" in data:
        yield _Lookup("/hostname/" + data["hostname"], data["hostname"], data["hostname"])
    if "url" in data:
        digest = hashlib.sha256(data["url"].encode()).hexdigest()
        yield _Lookup(f"/url/{digest}", data["url"], digest)


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_private or address.is_loopback or address.is_reserved)


def _threat(known: dict[str, Any], one: _Lookup) -> dict[str, Any]:
    entries, kind = known.get("blacklist", []), known.get("type")
    types = {"ip": f"ipv{'6' if known.get('ip_version') == 6 else '4'}-addr", "hostname": "domain-name"}
    types |= {"sample": "file", "url": "url"}
    indicator: dict[str, Any] = {"name": one.name, "type": types.get(kind) if kind else None}
    indicator |= {
        key: ", ".join(sorted({entry.get(part) for entry in entries}))
        for key, part in (("description", "description"), ("provider", "source"))
    }
    changed = known.get("modification_time")
    indicator |= {"first_seen": known.get("creation_time"), "modified_at": changed, "last_seen": changed}
    label = known.get("classification")
    indicator["confidence"] = LEVELS.get(label, ("None", "None"))[len(entries) > 1] if label else "Not Specified"
    indicator |= {"sightings": len(entries), "reference": f"https://maltiverse.com/{kind}/{one.slug}" if kind else ""}
    if kind == "ip":
        indicator["ip"] = one.name
    software = [
        {"id": r["external_id"], "reference": r.get("url"), "name": r.get("description")}
        for entry in entries
        for r in entry.get("external_references", [])
        if r.get("source_name") == "mitre-attack" and r.get("external_id", "").startswith("S")
    ]
    return {"threat": {"indicator": indicator, **({"software": software[-1]} if software else {})}}


_SCRIPTS: dict[str, Callable[[Run], None]] = {"slack": _slack, "pagerduty": _pagerduty, "shuffle": _shuffle}
_SCRIPTS |= {"virustotal": _virustotal, "maltiverse": _maltiverse}
