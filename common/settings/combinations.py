"""Checks settings that are valid by themselves and contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import SettingsError

if TYPE_CHECKING:
    from common.settings.load import Settings


def check_combinations(settings: Settings) -> None:
    """Raise SettingsError if two valid values contradict each other."""
    if settings.redis.ca and not settings.redis.is_tls:
        raise SettingsError(
            f"{settings.origin['redis.ca']}: redis.ca: the connection is not encrypted, since redis.url "
            f"({settings.origin['redis.url']}) is not a rediss:// or sentinels:// URL; set one, or remove redis.ca"
        )
    if settings.redis.sentinel_password and not settings.redis.has_sentinels:
        raise SettingsError(
            f"{settings.origin['redis.sentinel_password']}: redis.sentinel_password: there is no Sentinel, since "
            f"redis.url ({settings.origin['redis.url']}) is not a sentinel:// URL; set one, or remove the password"
        )
