"""Maps a Maltiverse response to the `threat` fields of the Elastic Common Schema (spec 5.6).

Parts of the response with an unexpected type are omitted from `threat`. The event contains the whole response as well.
"""

from __future__ import annotations

from typing import Any, Final

from common.exact_json import as_number

SITE: Final = "https://maltiverse.com"

TYPES: Final = {"hostname": "domain-name", "sample": "file", "url": "url"}
CONFIDENCE: Final = {
    "malicious": ("Medium", "High"),
    "suspicious": ("Low", "Medium"),
    "neutral": ("None", "Low"),
    "whitelist": ("None", "Low"),
}
"""The confidence by classification: with at most one blacklist entry, and with more."""


def threat(result: dict[str, Any], name: str, slug: str) -> dict[str, Any]:
    """Return the `threat` fields for the indicator `name`, whose page at Maltiverse ends in `slug`."""
    entries = _objects(result.get("blacklist"))
    kind = result.get("type")
    indicator = {
        "name": name,
        "type": _type(kind, result),
        "description": _distinct(entries, "description"),
        "provider": _distinct(entries, "source"),
        "first_seen": result.get("creation_time"),
        "modified_at": result.get("modification_time"),
        "last_seen": result.get("modification_time"),
        "confidence": _confidence(result.get("classification"), len(entries)),
        "sightings": len(entries),
        "reference": f"{SITE}/{kind}/{slug}" if kind else "",
    }
    if kind == "ip":
        indicator["ip"] = name
    software = _software(entries)
    return {"indicator": indicator, "software": software} if software else {"indicator": indicator}


def _type(kind: object, result: dict[str, Any]) -> str | None:
    if kind == "ip":
        return "ipv6-addr" if as_number(result.get("ip_version")) == 6 else "ipv4-addr"  # noqa: PLR2004 — IPv6
    return TYPES.get(kind) if isinstance(kind, str) else None


def _confidence(classification: object, sightings: int) -> str:
    if not classification:
        return "Not Specified"
    levels = CONFIDENCE.get(classification, ("None", "None")) if isinstance(classification, str) else ("None", "None")
    return levels[sightings > 1]


def _distinct(entries: list[dict[str, Any]], key: str) -> str:
    return ", ".join(sorted({entry[key] for entry in entries if isinstance(entry.get(key), str)}))


def _software(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the last MITRE ATT&CK software to which an entry refers."""
    references = [r for entry in entries for r in _objects(entry.get("external_references")) if _is_software(r)]
    if not references:
        return None
    last = references[-1]
    return {"id": last["external_id"], "reference": last.get("url"), "name": last.get("description")}


def _is_software(reference: dict[str, Any]) -> bool:
    return reference.get("source_name") == "mitre-attack" and str(reference.get("external_id")).startswith("S")


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
