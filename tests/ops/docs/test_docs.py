"""Tests that links, commands, options, settings, files and tests named in the pages exist."""

from __future__ import annotations

import json
import re
import runpy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from common.errors import TransportError
from common.integration import Integration
from common.outcome import Delivered, Reason, Retry
from common.secret import Secret
from common.settings.load import load_settings
from common.settings.sources import FILE_SUFFIX, FIXED, SETTINGS_VARIABLE
from ops.cli.main import COMMANDS, courier
from ops.new_service.__main__ import content_of, words_of
from tests.workers.integrations.examples import FIELDS, alert, response
from workers.integrations.helpers.http_status import StatusClassifier
from workers.integrations.helpers.service_options import ServiceOptions
from workers.message.markup import MARKDOWN
from workers.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted(
    ROOT.glob("ops/docs/**/*.md")
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
VARIABLE = re.compile(r"\bCOURIER_[A-Z_]*[A-Z]\b(?!\*)")
EXAMPLE_FILES = {
    "common/services/zulip.py",
    "workers/integrations/zulip.py",
    "tests/workers/integrations/test_zulip.py",
}
EXAMPLE_NAMES = {"ZulipOptions", "test_zulip", "test_failed"}
"""What the example of CONTRIBUTING makes, and a reason that looks like the name of a test."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_of(name: str) -> list[str]:
    """Return every line of the page's code blocks, then every inline code."""
    text = text_of(name)
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings: lower case, blanks as `-`, without punctuation."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_of(name: str) -> Iterator[tuple[str, str, click.Command | None, list[str]]]:
    """Yield each use of `courier`: the line, the subcommand's name, the command or None, and its options."""
    for line in code_of(name):
        if line.startswith("user "):  # Redis's own line for a user of that name
            continue
        for found in re.finditer(r"(?<![\w./-])(?:\.venv/bin/)?courier((?: +[^\s#|;&)]+)+)", line):
            words = re.sub(r"--settings \S+", "", found[1]).split()
            first, command = words[0], _next(courier, words)
            while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                command = _next(command, words)
            yield line, first, command, [word for word in words if word.startswith("--")]


def _next(group: click.Group, words: list[str]) -> click.Command | None:
    return group if words[0].startswith("-") else group.get_command(click.Context(group), words.pop(0))


@pytest.mark.parametrize("name", NAMES)
def test_links_and_anchors_exist(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text_of(name))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_their_options_exist(name: str) -> None:
    for line, _, command, options in commands_of(name):
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(options) <= known, line


def test_readme_shows_every_command() -> None:
    in_table = re.findall(r"^\| (`courier .+) \|.*\|$", text_of("README.md"), re.MULTILINE)
    assert set(re.findall(r"`(?:courier )?([a-z-]+)`", "".join(in_table))) == set(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", text_of("Makefile"), re.MULTILINE))
    named = {target for line in code_of(name) for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)", line)}
    folder = ROOT / "ops" / "bench"
    modules = [*folder.glob("[a-z]*.py"), *(main.parent for main in folder.glob("*/__main__.py"))]
    benchmarks = {f"bench-{path.stem.replace('_', '-')}" for path in modules}
    assert named <= targets | benchmarks


@pytest.mark.parametrize("name", NAMES)
def test_variables_are_settings(name: str) -> None:
    in_compose = {found for file in ROOT.glob("compose*.yaml") for found in VARIABLE.findall(file.read_text())}
    known = {key.variable for key in FIXED.values()} | {SETTINGS_VARIABLE} | in_compose
    named = {found for line in code_of(name) for found in VARIABLE.findall(line)}
    assert {variable for variable in named if variable.removesuffix(FILE_SUFFIX) not in known} == set()


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_settings_are_valid(name: str, tmp_path: Path) -> None:
    for kind, block in FENCE.findall(text_of(name)):
        if kind == "toml":
            (tmp_path / "courier.toml").write_text(block)
            load_settings(file=None, environment={}, cwd=tmp_path)


def test_code_names_in_contributing_exist() -> None:
    """Constants, classes, functions and variables, those of Make included: each is a word of the code."""
    files = [*ROOT.glob("[a-z]*/**/*.py"), ROOT / "Makefile", ROOT / ".ci/run"]
    words = set[str]()
    for file in files:
        words |= set(re.findall(r"\w+", file.read_text(encoding="utf-8")))
    named = {word for code in code_of("CONTRIBUTING.md") for word in re.findall(r"\w{3,}", code)}
    identifiers = {name for name in named if re.search("[A-Z]{4}|[a-z][A-Z]|[a-z]_[a-z]", name)}
    identifiers -= {name for name in named if name.startswith("test_")}  # files, mostly: another test knows them
    assert identifiers - words - EXAMPLE_NAMES - {"CHANGELOG", "README"} == set()


def test_contributing_names_every_room() -> None:
    tops = ("common", "producer", "workers", "ops")
    rooms = {file.parent for top in tops for file in ROOT.glob(f"{top}/*/__init__.py")}
    assert {f"{room.relative_to(ROOT)}/" for room in rooms} - {*code_of("CONTRIBUTING.md")} == set()


def test_the_example_of_contributing_is_a_service_module(tmp_path: Path) -> None:
    """As a stranger types it: the module of the page builds its request and classifies a response."""
    (source,) = (block for kind, block in FENCE.findall(text_of("CONTRIBUTING.md")) if kind == "python")
    (tmp_path / "zulip.py").write_text(source)
    module = runpy.run_path(str(tmp_path / "zulip.py"))
    block = Integration(id="zulip", name="zulip", hook_url=Secret("https://zulip.example/hook"))
    statuses = StatusClassifier(lambda: 0.0, Redactor.of(block))
    service = module["Zulip"](block, statuses, ServiceOptions())
    (call,) = service.build_calls(alert())
    assert (call.method, call.url) == ("POST", "https://zulip.example/hook")
    assert source == content_of("module.txt", words_of("zulip"))
    title, log, _ = json.loads(call.body)["text"].split("\n\n")
    assert (title, log) == (FIELDS["rule"]["description"], MARKDOWN.escape(FIELDS["full_log"]))
    assert service.interpret(alert(), call, response(200)) == Delivered()
    assert isinstance(service.interpret_failure(alert(), call, TransportError(Reason.TIMEOUT, "late")), Retry)


def test_the_readme_is_read_in_minutes() -> None:
    assert len(text_of("README.md").split()) < 1500


def test_the_readme_shows_the_demo() -> None:
    """A test takes the pictures (`make pictures`)."""
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text_of("README.md"))
    assert set(shown) >= {f"ops/docs/pictures/{name}" for name in ("demo-page.png", "console.png", "status.svg")}
    assert (ROOT / "ops/docs/pictures/demo-page.png").read_bytes().startswith(b"\x89PNG")
    assert "custom-ticket" in text_of("ops/docs/pictures/status.svg")


def test_every_page_is_reached_from_the_readme() -> None:
    seen, left = set[Path](), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", FENCE.sub("", page.read_text(encoding="utf-8")))
        left += [(page.parent / link).resolve() for link in links if ":" not in link]
    assert set(PAGES) - seen == set()


@pytest.mark.parametrize("name", NAMES)
def test_files_exist(name: str) -> None:
    for code in code_of(name):
        for path in re.findall(r"(?<![\w/.-])(?:common|producer|workers|ops|tests|\.ci)/[\w./-]+", code):
            assert path in EXAMPLE_FILES or (ROOT / path).exists(), path


@cache
def known_tests() -> set[str]:
    files = list((ROOT / "tests").rglob("test_*.py"))
    written = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return set(re.findall(r"^def (test_\w+)", written, re.MULTILINE)) | {file.stem for file in files}


@pytest.mark.parametrize("name", NAMES)
def test_tests_named_as_proof_exist(name: str) -> None:
    named = {found for code in code_of(name) for found in re.findall(r"\btest_\w+", code)}
    assert named - known_tests() - EXAMPLE_NAMES == set()
