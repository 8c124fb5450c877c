"""The condition language: one sentence about an alert, which holds or does not.

    rule.id = 5710, 5715 and agent.name = build-* and not data.srcip in 10.0.0.0/8

A condition is one or more terms, joined by `and`; all of them must hold. There is no `or` and there are no brackets:
lists of strings say the rest. The page ops/docs/conditions.md describes the language for operators; this text says what
was decided and why.

Grammar
    condition  = term { "and" term }
    term       = [ "not" ] ( field [ operator value { "," value } ] | "@" name )
    field      = segment { "." segment }          segment = letters, digits, "_", "-", or a text in double quotes
    operator   = "=" "!=" "<" "<=" ">" ">=" "~" "!~" "in"
    value      = a text up to "and", or to "," in a list, without blanks around it; or a text in double quotes

What a field is
    The path of an object's keys. Of an array any element counts, also of arrays in arrays. A missing key, null and an
    empty array are the same: there is no value. An empty text is a value, and so is an object, but no comparison
    matches an object. Keys are case-sensitive, and the last of duplicate keys wins, as in the whole project (D3).

What holds
    A comparison holds if any value of the field matches. So it never holds for a missing field. `!=`, `!~` and `not`
    are exact opposites: they hold if no value matches, which includes a missing field. So for every alert either
    `x = a` or `x != a` holds, and nobody has to know a third result.

Texts and numbers
    `=` compares a text by its characters, in the same case, and a number by its value. A number in a text stays a text
    for `=`: agent `001` is not agent `1`, version `1.10` is not `1.1`. Upper and lower case differ because a silence
    should not hide more than it says; `~ (?i)…` ignores the case. `<` `<=` `>` `>=` read texts as numbers, because
    Wazuh writes many numbers as texts. What is not a number, such as `0x10` or true, is neither above nor below.

Hostile alerts
    Regular expressions and wildcards are run by RE2, in linear time. Of one field, MAX_ELEMENTS array elements and
    MAX_CHARS characters are looked at; the stock Integrator reads no longer lines. Nothing is recursive over an alert.

Named conditions
    `@name` holds if any string of the list of that name holds, wherever it is used. In `only` as well: a name has one
    meaning, and a list of alternatives is what `only` can't write otherwise. Lists may use each other's names, but not
    in a circle.

Use
    `parse_condition` reads a text or raises ConditionError; `compile_condition`, `compile_all` (`only`) and
    `compile_any` (`except`) make functions of a decoded alert; `explain_condition` gives reasons. `Condition.fields`
    are the fields to decode, and `Condition.is_fixed_by_rule` says whether a cache by rule can answer. Parse all named
    conditions first. Conditions are immutable, and the functions can be called by several threads. A field of a rule
    takes 0.3 to 0.4 us, an array, a network or a regular expression about 2 us.

Modules
    `model` is a parsed condition, and prints it; `scanner` and `parser` read it; `named` reads lists with names;
    `evaluate` turns it into a function; `explain` says what it saw; `fields`, `values`, `patterns` and `regex` are the
    rules above; `field_hints` knows fields that alerts have under another name.
"""

from common.conditions.evaluate import compile_all, compile_any, compile_condition
from common.conditions.explain import Explanation, Step, explain_condition
from common.conditions.field_hints import field_hints
from common.conditions.model import Condition, NamedCondition
from common.conditions.named import parse_named_conditions
from common.conditions.parser import NO_NAMES, parse_condition

__all__ = [
    "NO_NAMES",
    "Condition",
    "Explanation",
    "NamedCondition",
    "Step",
    "compile_all",
    "compile_any",
    "compile_condition",
    "explain_condition",
    "field_hints",
    "parse_condition",
    "parse_named_conditions",
]
