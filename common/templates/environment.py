"""Compiles templates and renders them within limits of size and CPU time."""

from __future__ import annotations

import functools
import json
import re
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from common.errors import TemplateError
from common.templates.filters import FILTERS, TESTS, each
from common.templates.language import CONCAT, EACH, LOOP_MEMBERS, MEMBER, prepare
from common.templates.source import MAX_TEMPLATE_BYTES
from common.templates.values import MAX_TEXT_CHARS, ExactNumber, Missing, Raw, json_of, member, seen, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jinja2.runtime import Context

    from common.templates.source import TemplateSource

MAX_OUTPUT_CHARS: Final = 256 * 1024
"""Characters of one rendered template. No chat takes more than 40,000; a webhook's body may have an alert in it."""

MAX_CPU_S: Final = 0.1
"""Seconds of CPU that one rendering may take, a thousand times what it should."""

MAX_NUMBER: Final = 2**63
"""A whole number beyond it is calculated with as a fraction."""


class Compiler:
    """Compiles the templates of one integration.

    `escape` makes a text harmless for the service. With `as_json` the template is the text of a JSON document: each
    value is printed as inside a JSON string, and `tojson` prints it as a whole value. `code` makes the service's block
    of code of a plain text, for the filter of that name. `cpu` returns the CPU time of the
    thread in seconds.

    The templates of one compiler share a state, so only one of them may be rendered at a time.
    """

    def __init__(
        self,
        escape: Callable[[str], str] = str,
        *,
        as_json: bool = False,
        code: Callable[[str], str] = str,
        max_chars: int = MAX_OUTPUT_CHARS,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._state = _State(cpu, max_chars)
        own: dict[str, Callable[[Any], Any]]
        if as_json:
            escape, own = inside_json_string, {"tojson": lambda value: Raw(json_of(value))}
        else:
            own = {"tojson": json_of, "code": lambda value: Raw(code(text_of(value)))}
        self._environment = _Environment(escape, self._state, own)

    def compile(self, source: TemplateSource) -> Template:
        """Return the compiled template. Raises TemplateError, which names the line and the variable or filter."""
        if len(source.text.encode("utf-8", "replace")) > MAX_TEMPLATE_BYTES:
            raise TemplateError(f"it has more than {MAX_TEMPLATE_BYTES // 1024} KiB", source.place(0))
        environment = self._environment
        try:
            tree = prepare(environment.parse(source.text), source, environment.public)
            names = frozenset(name.name for name in tree.find_all(nodes.Name))
            code = environment.compile(tree)
            compiled = jinja2.Template.from_code(environment, code, environment.globals)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(error.message or "it is not valid", source.place(error.lineno), error.lineno) from None
        except (RecursionError, SyntaxError, MemoryError):
            raise TemplateError("it is nested too deeply", source.place(0)) from None
        return Template(compiled, source, self._state, names)


class Template:
    """One compiled template."""

    def __init__(self, compiled: jinja2.Template, source: TemplateSource, state: _State, names: frozenset[str]) -> None:
        self._compiled, self._source, self._state, self._names = compiled, source, state, names

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the text for an alert. `missing` then has the paths that were printed and that the alert lacks.

        Raises TemplateError if the template fails or exceeds a limit; the error quotes nothing of the alert.
        """
        state = self._state
        state.begin()
        pieces: list[str] = []
        room = state.max_chars
        try:
            used = self._names & variables.keys()
            context = self._compiled.new_context({name: seen(variables[name]) for name in used})
            for piece in self._compiled.root_render_func(context):
                pieces.append(piece)
                room -= len(piece)
                if room < 0:
                    state.refuse_size()
        except _LimitError as error:
            raise TemplateError(str(error), self._source.place(0)) from None
        except Exception as error:  # noqa: BLE001 — whatever a template does to a hostile alert costs the template only
            line = self._line(error)
            problem = f"it fails on this alert: {_reason(error)}"
            raise TemplateError(problem, self._source.place(line), line) from None
        return "".join(pieces)

    @property
    def missing(self) -> tuple[str, ...]:
        """The paths that the last rendering of this compiler printed as an empty text."""
        return tuple(self._state.missing)

    def _line(self, error: Exception) -> int:
        """Return the line of the template in which an error was raised, 0 if it is not known."""
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is self._compiled.root_render_func.__code__:
                line = self._compiled.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


def check(source: TemplateSource, *, as_json: bool = False) -> None:
    """Raise TemplateError if a template cannot be compiled, or with `as_json` gives no JSON for any alert."""
    Compiler(as_json=as_json).compile(source)
    if as_json and not _VARYING.search(source.text):
        _check_json(source)


_VARYING: Final = re.compile(r"\{%|\braw\b")
"""What makes the structure of a document depend on the alert."""

_PRINTED: Final = re.compile(r"\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)


def _check_json(source: TemplateSource) -> None:
    """Raise TemplateError unless a template is JSON with 0 in place of each value, within quotes and outside."""
    text = _PRINTED.sub(lambda found: "0" if found[0].startswith("{{") else "", source.text)
    line, why = 0, ""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        why = f": {error.msg}"
        if text.count("\n") == source.text.count("\n"):  # else a value or comment has several lines
            line = error.lineno
    except (ValueError, RecursionError):
        pass
    else:
        return
    raise TemplateError(f"it is not JSON{why}", source.place(line), line)


def inside_json_string(text: str) -> str:
    """Return a text as it is written between the quotes of a JSON string."""
    return json.dumps(text)[1:-1]


class _LimitError(Exception):
    """Raised while rendering, when a limit is exceeded."""


class _State:
    """What is counted during one rendering."""

    def __init__(self, cpu: Callable[[], float], max_chars: int) -> None:
        self._cpu, self.max_chars = cpu, max_chars
        self._end_s = 0.0
        self.missing: list[str] = []

    def begin(self) -> None:
        self._end_s = self._cpu() + MAX_CPU_S
        self.missing = []

    def refuse_size(self) -> NoReturn:
        raise _LimitError(f"the text has more than {self.max_chars} characters")

    def check_time(self) -> None:
        if self._cpu() > self._end_s:
            raise _LimitError(f"it takes more than {MAX_CPU_S:g} s")


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox with Courier's filters alone. What it inherits is a second line of defence behind `language`."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, escape: Callable[[str], str], state: _State, own: Mapping[str, Callable[[Any], Any]]) -> None:
        super().__init__(
            undefined=Missing, finalize=self._printed, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        self._escape, self._state = escape, state
        public = {name: self._timed(function) for name, function in {**FILTERS, **own, "raw": Raw}.items()}
        self.public = frozenset(public)
        self.filters = {**public, MEMBER: member, EACH: self._each, CONCAT: self._concat}
        self.tests = {name: test for name, test in self.tests.items() if not name.isidentifier()} | dict(TESTS)
        self.globals = {}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what a template may know of a loop. Every other access has become a call of `member`."""
        if isinstance(obj, LoopContext) and attribute in LOOP_MEMBERS:
            return getattr(obj, attribute)
        return Missing(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return nothing, as above."""
        return self.getattr(obj, str(argument))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers. Raises TypeError for anything else, such as a text times a number."""
        return super().call_binop(context, operator, _number(left), _number(right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        """Change the sign of a number, as above."""
        return super().call_unop(context, operator, _number(arg))

    def _printed(self, value: Any) -> str:
        """Return the text of a value as it is printed: escaped, unless the template itself contains it."""
        if type(value) is str:
            return self._escape(value)
        if isinstance(value, Raw):
            return value.text
        if isinstance(value, Missing):
            self._state.missing.append(value.path)
            return ""
        return self._escape(text_of(value))

    def _each(self, value: Any) -> Iterator[Any]:
        for one in each(value):
            self._state.check_time()
            yield one

    def _concat(self, *parts: Any) -> str:
        return "".join([text_of(part) for part in parts])[:MAX_TEXT_CHARS]

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a look at the time before each call."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._state.check_time()
            return function(*arguments, **named)

        return timed


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = f"{value.path} is missing" if isinstance(value, Missing) else "a value is not a number"
        raise TypeError(f"{what}, and only numbers can be calculated with")
    return float(value) if isinstance(value, ExactNumber) or abs(value) > MAX_NUMBER else value


def _reason(error: Exception) -> str:
    """Return why a template failed, without a value of the alert: Python's own errors may quote one."""
    own = isinstance(error, TypeError) and "calculated with" in str(error)
    if own or isinstance(error, jinja2.UndefinedError):
        return str(error)
    return {
        "TypeError": "two values cannot be compared, or an argument has the wrong type",
        "ZeroDivisionError": "it divides by zero",
        "OverflowError": "a number is too large",
    }.get(type(error).__name__, type(error).__name__)
