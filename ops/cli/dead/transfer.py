"""`courier dead export` and `import`: copy dead letters to a file and back, as an archive or to another Redis."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from common.errors import CourierError
from ops.admin.dead_letter_actions import CHUNK
from ops.admin.dead_letter_file import read_line, write_line
from ops.admin.dead_letters import find
from ops.admin.names import unknown
from ops.admin.session import open_session
from ops.cli.dead.filters import filters, parse_filters
from ops.cli.options import example, pass_settings, server_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.ledger import DeadLetter
    from common.settings.load import Settings
    from ops.admin.dead_letters import FoundLetter
    from ops.admin.session import LedgerSession

STANDARD: Final = Path("-")

CHUNK_BYTES: Final = 4 * 2**20
"""Size of the alerts in one call to Redis; a single larger letter goes alone."""

FILE = click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))


@click.command(
    name="export", epilog=example("courier dead export --integration slack slack.jsonl", "courier dead export -")
)
@filters
@FILE
@pass_settings
def export_letters(settings: Settings, /, *, file: Path, **options: Any) -> None:
    """Copy dead letters to a new FILE.

    FILE must not exist; - writes to standard output. The format is one JSON object per line, with the alert in plain
    text. The dead letters also stay in Redis. To import them into this or another Redis, use `courier dead import`.
    """
    words, chosen = parse_filters(options)
    count = 0
    with open_session(settings) as session:
        found = find(session.ledger, session.resolve_for_query(words), chosen)
        with _create(file) as out:
            for count, one in enumerate(found, start=1):  # noqa: B007 — the last counts
                out.write(write_line(one))
    click.echo(f"{count} exported", err=file == STANDARD)


@click.command(name="import", epilog=example("courier dead import slack.jsonl"))
@server_options
@FILE
@pass_settings
def import_letters(settings: Settings, /, *, file: Path) -> None:
    """Import dead letters from a file of `courier dead export`.

    If FILE is -, it reads standard input. Deliveries that are already in the ledger, dead or waiting, do not change,
    so you can repeat an import.
    """
    done = seen = 0
    with open_session(settings) as session, _read(file) as lines:
        for integration_id, letters in _chunks(_letters(lines, str(file), session)):
            if why := session.ledger.intake_block_reason():
                raise CourierError(f"{why}; {done} imported so far; to import the rest, import the file again")
            seen += len(letters)
            done += session.ledger.import_dead(integration_id, letters)
    skipped = seen - done
    click.echo(f"{done} imported" + (f", {skipped} skipped because they already exist" if skipped else ""))


def _letters(lines: BinaryIO, name: str, session: LedgerSession) -> Iterator[FoundLetter]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        rest = "the lines before it are imported; correct or remove this line and import the file again"
        try:
            found = read_line(line)
        except ValueError as error:
            raise CourierError(f"{name}:{number}: not a dead letter: {error}; {rest}") from None
        if found.integration_id not in session.listed:
            raise CourierError(f"{name}:{number}: {unknown(found.integration_id, session.listed)}; {rest}")
        yield found


def _chunks(found: Iterator[FoundLetter]) -> Iterator[tuple[str, list[DeadLetter]]]:
    """Yield runs of consecutive letters of one integration. On an error, yield the letters before it, then raise."""
    letters: list[DeadLetter] = []
    integration_id, size = "", 0
    try:
        for one in found:
            if letters and (one.integration_id != integration_id or len(letters) >= CHUNK or size >= CHUNK_BYTES):
                yield integration_id, letters
                letters, size = [], 0
            integration_id = one.integration_id
            letters.append(one.letter)
            size += len(one.letter.delivery.alert)
    except CourierError:
        if letters:
            yield integration_id, letters
        raise
    if letters:
        yield integration_id, letters


@contextmanager
def _create(file: Path) -> Iterator[BinaryIO]:
    """Open a new file that only its owner can read, and delete it after an error. Raises CourierError."""
    if file == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CourierError(f"{file} already exists; choose a new file") from None
    except OSError as error:
        raise CourierError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CourierError(f"{file} cannot be written: {error.strerror}") from None
        raise


@contextmanager
def _read(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        lines = file.open("rb")
    except OSError as error:
        raise CourierError(f"{file} cannot be read: {error.strerror}") from None
    with lines:
        yield lines
