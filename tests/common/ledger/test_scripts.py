"""The texts of the scripts."""

from __future__ import annotations

import re

import pytest

from common.ledger.scripts import INCLUDES, source_of, without_unused_functions

SCRIPT = """\
local function helper(x)
  return x -- unused() is only mentioned
end
-- Comments may mention unused.
local function unused()
  return helper(1)
end

local function used_by_unused()
  if KEYS[1] then
    return helper(2)
  end
end

local function also_unused()
  return used_by_unused()
end
return pcall(helper, 3)
"""


def test_a_script_is_sent_without_the_functions_that_it_does_not_use() -> None:
    """A function counts as used if what follows it, and remains, calls it, passes it on or mentions it."""
    sent = without_unused_functions(SCRIPT)
    assert re.findall(r"local function (\w+)", sent) == ["helper"]
    assert sent.endswith("\nreturn pcall(helper, 3)\n")


@pytest.mark.parametrize("name", INCLUDES)
def test_every_script_has_the_functions_that_it_uses(name: str) -> None:
    """Lua would notice a missing function only when it calls it, which may be a rare case."""
    sent = without_unused_functions(source_of(name))
    functions = set(re.findall(r"(?m)^local function (\w+)", source_of(name)))
    missing = functions - set(re.findall(r"(?m)^local function (\w+)", sent))
    assert missing
    code = re.sub(r"--.*", "", sent)
    assert not missing.intersection(re.findall(r"(?<![.'\w])\w+(?!')", code))
