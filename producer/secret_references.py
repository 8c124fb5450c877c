"""Reads what the configuration names instead of containing it: secrets, and files of templates.

A secret that is written as `env:NAME` or `file:PATH` is neither in ossec.conf nor in courier.toml. The producer
publishes the secret itself, encrypted; the errors here never quote it. A file is read again when it changes.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.errors import SettingsError
from common.files import file_signature
from common.permissions import explain, read_trusted
from common.secret import Secret
from common.settings.secret_values import ENVIRONMENT, FILE, VARIABLE_NAME
from common.settings.values import quoted
from common.templates.source import MAX_TEMPLATE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.files import FileSignature

MAX_BYTES: Final = 64 * 1024

_BLANKS: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff"
"""White space of Unicode, with no-break spaces, and zero-width characters: copied text often has both."""


class SecretReferences:
    """Resolves references, and remembers the files that it read. `environ` is the environment of the producer."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self.files: dict[Path, FileSignature | None] = {}

    def changed(self) -> bool:
        """Return whether any of the files has changed since it was read."""
        return any(file_signature(path) != signature for path, signature in self.files.items())

    def follow(self, path: Path) -> None:
        """Count another file as one of these, with its present state: that of `agents.file`, which holds no secret."""
        self.files[path] = file_signature(path)

    def mark_seen(self) -> None:
        """Count the files as read as they are now."""
        self.files = {path: file_signature(path) for path in self.files}

    def resolve(self, text: str) -> Secret:
        """Return the secret that `text` refers to, or `text` itself, without blanks around it.

        Raises ValueError, which says what to do.
        """
        text = without_blanks(text)
        if text.startswith(ENVIRONMENT):
            return Secret(self._from_environment(text.removeprefix(ENVIRONMENT)))
        return Secret(self._from_file(text.removeprefix(FILE)) if text.startswith(FILE) else text)

    def _from_environment(self, name: str) -> str:
        if not VARIABLE_NAME.fullmatch(name):
            raise ValueError(f"{quoted(name)} is not a valid variable name: write {ENVIRONMENT}NAME")
        value = without_blanks(self._environ.get(name, ""))
        if not value:
            raise ValueError(f"the variable {name} is not set in the environment of this process: set it")
        return value

    def _from_file(self, name: str) -> str:
        path = Path(name)
        if not path.is_absolute():
            raise ValueError(f"{quoted(name)} is not an absolute path: write {FILE}/PATH")
        value = without_blanks(self._read(path, MAX_BYTES, "the secret"))
        if not value:
            raise ValueError(f"{path} is empty: write the secret into it")
        return value

    def template(self, name: str) -> str:
        """Return the text of a template's file; `name` is an absolute path. Raises ValueError as above."""
        return self._read(Path(name), MAX_TEMPLATE_BYTES, "the template")

    def _read(self, path: Path, max_bytes: int, what: str) -> str:
        self.follow(path)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
                raise ValueError(f"{path} is not a file of at most {max_bytes // 1024} KiB: name the file of {what}")
            return read_trusted(path, str(path)).decode()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {explain(error)}") from None
        except SettingsError as error:
            raise ValueError(str(error)) from None
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8 text") from None


def without_blanks(text: str) -> str:
    """Return a hook_url or api_key without leading and trailing white space, visible or not (D20)."""
    return text.strip(_BLANKS)
