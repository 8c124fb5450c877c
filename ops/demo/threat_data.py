"""The data of the simulated VirusTotal and Maltiverse about the indicators in the sample.

All of it is invented, apart from the hashes of the EICAR test file and of the empty file.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple


class KnownFile(NamedTuple):
    """VirusTotal's report on a file: its hashes, and how many of `total` engines call it malicious."""

    sha1: str
    sha256: str
    positives: int
    total: int
    result: str = ""


def _made_up(text: str, positives: int, result: str) -> tuple[str, KnownFile]:
    """Return MD5 and report of an invented file with the content `text`; the sample's alerts have its hashes."""
    md5, sha1, sha256 = (hashlib.new(name, text.encode(), usedforsecurity=False) for name in ("md5", "sha1", "sha256"))
    return md5.hexdigest(), KnownFile(sha1.hexdigest(), sha256.hexdigest(), positives, 71, result)


KNOWN_FILES: Final[dict[str, KnownFile]] = {
    "44d88612fea8a8f36de82e1278abb02f": KnownFile(
        "3395856ce81f2b7382dee72602f798b642f14140",
        "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f",
        63,
        68,
        "EICAR-Test-File",
    ),
    **dict(
        (
            _made_up("", 0, ""),
            _made_up("PermitRootLogin yes\n", 0, ""),
            _made_up("courier demo: dropper", 41, "Trojan.Dropper.Example"),
            _made_up("courier demo: miner", 52, "Miner.Linux.Example"),
            _made_up("courier demo: macro", 17, "Macro.Downloader.Example"),
        )
    ),
}
"""MD5 → report."""


def _indicator(classification: str, *blacklist: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "classification": classification,
        "blacklist": [
            {"description": description, "source": source, "first_seen": "2025-11-02 10:00:00", "count": 1}
            for description, source in blacklist
        ],
        "creation_time": "2020-01-01 00:00:00",
        "modification_time": "2026-01-30 10:00:00",
        **more,
    }


_SSH, _HOST = ("SSH Attacker", "Blocklist.de"), ("Malicious Host", "AlienVault Ip Reputation Database")
_C2_REFERENCE: Final = {
    "source_name": "mitre-attack",
    "external_id": "S0154",
    "url": "https://attack.mitre.org/software/S0154",
    "description": "Cobalt Strike",
}
_C2: Final = {
    "blacklist": [
        {"description": "Cobalt Strike", "source": "ThreatFox Abuse.ch", "external_references": [_C2_REFERENCE]},
        {"description": "Command and Control", "source": "Maltiverse Research Team"},
    ]
}
_BEACON: Final = "http://cdn.evil.example/gate.php?id=7"
_EICAR: Final = next(iter(KNOWN_FILES))
_EICAR_SAMPLE: Final = _indicator(
    "malicious",
    (KNOWN_FILES[_EICAR].result, "Hybrid-Analysis"),
    type="sample",
    md5=_EICAR,
    filename=["eicar.com"],
)

INDICATORS: Final[dict[str, dict[str, Any]]] = {
    "ip/8.8.4.4": _indicator("malicious", _HOST, _SSH, type="ip", ip_addr="8.8.4.4", country_code="ZZ"),
    "ip/1.0.0.19": _indicator("suspicious", _SSH, type="ip", ip_addr="1.0.0.19", country_code="ZZ"),
    "ip/2001:4860:4860::8844": _indicator("neutral", type="ip", ip_addr="2001:4860:4860::8844", country_code="ZZ"),
    "hostname/cdn.evil.example": _indicator("malicious", type="hostname", hostname="cdn.evil.example") | _C2,
    "hostname/mail.spam.example": _indicator(
        "suspicious", ("Spam source", "Example Spam List"), type="hostname", hostname="mail.spam.example"
    ),
    f"url/{hashlib.sha256(_BEACON.encode()).hexdigest()}": _indicator("malicious", type="url", url=_BEACON) | _C2,
    f"sample/md5/{_EICAR}": _EICAR_SAMPLE,
    f"sample/sha1/{KNOWN_FILES[_EICAR].sha1}": _EICAR_SAMPLE,
}
"""The part of the path after the API's address → the response."""
