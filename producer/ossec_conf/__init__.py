"""Reads the `<integration>` blocks of a manager's ossec.conf, as the stock Integrator would (spec 1.2 to 1.5).

ossec.conf looks like XML but is not: `dialect` translates the file into XML, `structure` finds the blocks with lxml,
and `block` reads one block. An invalid block is refused with its reasons and does not stop the others (D6). An error
outside of the blocks is a warning.
"""

from __future__ import annotations

import codecs
import os
import stat
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import ConfigError
from common.permissions import explain
from producer.ossec_conf.block import read_block
from producer.ossec_conf.dialect import to_xml
from producer.ossec_conf.integration_ids import assign_ids
from producer.ossec_conf.model import Configuration, ConfigWarning, RefusedBlock
from producer.ossec_conf.structure import find_blocks
from producer.secret_references import SecretReferences

if TYPE_CHECKING:
    from pathlib import Path

    from common.integration import Integration
    from producer.ossec_conf.block import ParsedBlock

__all__ = ["MAX_FILE_BYTES", "ConfigWarning", "Configuration", "RefusedBlock", "parse_ossec_conf", "read_ossec_conf"]

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""A larger file is not an ossec.conf: that of a big manager has a few hundred kilobytes."""


_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""The first bytes of a file that an editor on Windows saved as "Unicode"."""


def read_ossec_conf(path: Path, references: SecretReferences | None = None) -> Configuration:
    """Read a file. Raises ConfigError if it is missing, unreadable, too large or not an ossec.conf.

    `references` reads the secrets that the file only refers to (`file:PATH`).
    """
    try:
        with open(path, "rb", opener=_open) as stream:  # Path.open has no opener
            if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
                raise ConfigError("is a pipe, which cannot be read again when it changes: name a file", file=str(path))
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        problem = "there is no such file: name the manager's ossec.conf with --config or producer.config"
        raise ConfigError(problem, file=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {explain(error)}", file=str(path)) from None
    except ValueError:
        raise ConfigError("cannot be read: not a valid file name", file=str(path)) from None
    return parse_ossec_conf(content, file=str(path), references=references)


def _open(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to would otherwise block."""
    return os.open(path, flags | os.O_NONBLOCK)


def parse_ossec_conf(content: bytes, *, file: str, references: SecretReferences | None = None) -> Configuration:
    """Read the content of a file; `file` is its name in errors. Raises ConfigError if it is not an ossec.conf."""
    references = references or SecretReferences()
    if len(content) > MAX_FILE_BYTES:
        problem = f"is larger than {MAX_FILE_BYTES // 1024**2} MiB: not an ossec.conf"
        raise ConfigError(problem, file=file)
    if content.startswith(_UTF_16):
        raise ConfigError("is UTF-16, which the manager cannot read either: save it as UTF-8", file=file)
    translation = to_xml(content)
    found = find_blocks(translation.xml, file)
    readings = [read_block(block, file, references) for block in found.blocks]
    integrations, refused, of_blocks = _assign_ids(readings, file)
    warnings = [ConfigWarning(note.text, file, note.line) for note in translation.remarks]
    warnings += found.warnings
    warnings += of_blocks
    return Configuration(integrations, refused, tuple(warnings), found.syntax_error)


def _assign_ids(
    readings: list[ParsedBlock], file: str
) -> tuple[tuple[Integration, ...], tuple[RefusedBlock, ...], list[ConfigWarning]]:
    """Assign each block its id. Refused blocks get one too, so that an error in one block renames no other."""
    integrations: list[Integration] = []
    refused: list[RefusedBlock] = []
    warnings: list[ConfigWarning] = []
    for reading, name in zip(readings, assign_ids([reading.id_source for reading in readings]), strict=True):
        errors = reading.errors
        warnings += [warning._replace(block=name) for warning in reading.warnings]
        if name is None:
            problem = (
                f'id="{reading.id_source.explicit_id}" is the id of an earlier block: give each block an id of its own'
            )
            errors = (*errors, ConfigError(problem, file=file, line=reading.line, element="integration"))
        if errors:
            refused.append(RefusedBlock(reading.line, reading.id_source.name, errors))
        elif reading.integration and name is not None:
            integrations.append(msgspec.structs.replace(reading.integration, id=name))
    return tuple(integrations), tuple(refused), warnings
