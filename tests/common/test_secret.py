from __future__ import annotations

from common.secret import MASK, Secret, scrub


def test_a_secret_shows_itself_only_when_revealed() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"


def test_scrub_masks_every_secret_whatever_its_case() -> None:
    assert scrub("GET /T0/KEY and /t0/key", Secret("/T0/key"), None, Secret("")) == f"GET {MASK} and {MASK}"
