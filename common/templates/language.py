"""What a template may be written with: an allow-list of Jinja2's syntax, checked and rewritten before it is compiled.

Rewriting puts Courier's own bounded functions in place of what Jinja2 would do itself:

- `data.win.system` becomes one call of `values.member`, which reads the alert and knows the whole path
- what a loop goes over becomes a call of `filters.each`
- `a ~ b` becomes a call that bounds the result
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from common.errors import TemplateError

if TYPE_CHECKING:
    from common.templates.source import TemplateSource

MEMBER: Final = "_member"
EACH: Final = "_each"
CONCAT: Final = "_concat"
"""The filters that only the rewritten template uses. A template cannot name them itself: see `_check_filter`."""

MAX_LOOP_DEPTH: Final = 2

ALERT_MEMBERS: Final = (
    *("GeoLocation", "agent", "agentless", "cluster", "data", "decoder", "finding", "full_log", "id", "input"),
    *("location", "manager", "predecoder", "previous_log", "previous_output", "rule", "syscheck", "timestamp"),
)
"""The members of an alert that a template can name directly; any other is `alert.NAME`."""

VARIABLES: Final = (*ALERT_MEMBERS, "alert", "courier")

LOOP: Final = "loop"
LOOP_MEMBERS: Final = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})

_ALLOWED: Final[tuple[type[nodes.Node], ...]] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign),
    *(nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.Tuple, nodes.List),
)

_CALLED: Final[dict[type[nodes.Node], str]] = {
    nodes.AssignBlock: "{% set %} … {% endset %}: write {% set NAME = VALUE %}",
    nodes.Block: "{% block %}",
    nodes.Call: "a call such as name(…): use a filter",
    nodes.CallBlock: "{% call %}",
    nodes.Dict: "an object such as {…}",
    nodes.Extends: "{% extends %}",
    nodes.FilterBlock: "{% filter %}: use a filter on each value",
    nodes.FromImport: "{% from … import %}",
    nodes.Import: "{% import %}",
    nodes.Include: "{% include %}",
    nodes.Macro: "{% macro %}",
    nodes.Pow: "the operator **",
    nodes.ScopedEvalContextModifier: "{% autoescape %}",
    nodes.Slice: "a slice such as [1:3]: use the filter truncate",
    nodes.With: "{% with %}: write {% set NAME = VALUE %}",
}


def prepare(tree: nodes.Template, source: TemplateSource, filters: frozenset[str]) -> nodes.Template:
    """Return the checked and rewritten tree of a template that may use `filters`.

    Raises TemplateError, which names the line and what is wrong.
    """
    _Checker(tree, source, filters).check(tree, depth=0)
    rewritten: nodes.Template = _Rewriter().visit(tree)
    return rewritten


class _Checker:
    """Walks over the tree once and refuses what is not allowed."""

    def __init__(self, tree: nodes.Template, source: TemplateSource, filters: frozenset[str]) -> None:
        self._source, self._filters = source, filters
        own = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
        self._names = {*VARIABLES, *own}

    def check(self, node: nodes.Node, depth: int) -> None:
        if not isinstance(node, _ALLOWED):
            name = next((text for kind, text in _CALLED.items() if isinstance(node, kind)), type(node).__name__.lower())
            self._refuse(node, f"templates do not have {name}")
        match node:
            case nodes.Name(ctx="load") if node.name == LOOP and depth:
                pass
            case nodes.Name(ctx="load") if node.name not in self._names:
                self._refuse(node, self._unknown(node.name))
            case nodes.Name(ctx="store") if node.name in {*VARIABLES, LOOP}:
                self._refuse(node, f"{node.name} is part of every alert: choose another name")
            case nodes.Filter():
                self._check_filter(node)
            case nodes.For():
                depth += 1
                if node.recursive or depth > MAX_LOOP_DEPTH:
                    self._refuse(node, f"loops can be nested {MAX_LOOP_DEPTH} deep and cannot be recursive")
        for child in node.iter_child_nodes():
            self.check(child, depth)

    def _check_filter(self, node: nodes.Filter) -> None:
        if node.name not in self._filters:
            near = get_close_matches(node.name, self._filters, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(self._filters))}"
            self._refuse(node, f"there is no filter {node.name}; {hint}")
        if node.name == "raw" and not (isinstance(node.node, nodes.Const) and isinstance(node.node.value, str)):
            self._refuse(
                node, 'raw is for a text of the template itself, such as "<!here>" | raw: what an alert says is escaped'
            )
        if node.dyn_args or node.dyn_kwargs:
            self._refuse(node, "templates do not have * and ** in a filter's arguments")

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, VARIABLES, 1)
        hint = f"did you mean {near[0]}?" if near else f"write alert.{name} for another member of the alert"
        return f"there is no variable {name}; {hint}"

    def _refuse(self, node: nodes.Node, problem: str) -> None:
        raise TemplateError(problem, self._source.place(node.lineno), node.lineno)


class _Rewriter(NodeTransformer):
    """Replaces access, loops and concatenation by Courier's bounded functions."""

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 — the name that Jinja2 calls
        if isinstance(node.node, nodes.Name) and node.node.name == LOOP and node.attr in LOOP_MEMBERS:
            return node
        return self._member(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 — as above
        return self._member(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 — as above
        changed: nodes.For = self.generic_visit(node)  # type: ignore[assignment]  # it returns the node
        changed.iter = _call(EACH, changed.iter, (), node.lineno)
        return changed

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 — as above
        parts = [self.visit(part) for part in node.nodes]
        return _call(CONCAT, parts[0], parts[1:], node.lineno)

    def _member(self, node: nodes.Expr) -> nodes.Node:
        keys: list[nodes.Expr] = []
        while isinstance(node, nodes.Getattr | nodes.Getitem):
            key = nodes.Const(node.attr) if isinstance(node, nodes.Getattr) else self.visit(node.arg)
            keys.insert(0, key)
            node = node.node
        name = node.name if isinstance(node, nodes.Name) else "value"
        return _call(MEMBER, self.visit(node), (nodes.Const(name), *keys), node.lineno)


def _call(name: str, value: Any, arguments: Any, line: int) -> nodes.Filter:
    return nodes.Filter(value, name, list(arguments), [], None, None, lineno=line)
