from __future__ import annotations

from common.secret import Secret


def test_secret_is_masked_unless_revealed() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"
