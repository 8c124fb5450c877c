"""The matcher equals a literal implementation of its grammar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.filters.sregex import compile_sregex

texts = st.text("aAbB^$|!é\n", max_size=8).map(str.encode)


def plain(pattern: bytes, text: bytes) -> bool:
    negated, pattern = pattern[:1] == b"!", pattern[1:] if pattern[:1] == b"!" else pattern
    return any(plain_alternative(alternative, text.lower()) for alternative in pattern.lower().split(b"|")) != negated


def plain_alternative(alternative: bytes, text: bytes) -> bool:
    at_start, at_end = alternative[:1] == b"^", alternative[-1:] == b"$"
    literal = alternative[1 if at_start else 0 : len(alternative) - (1 if at_end else 0)]
    found = [at for at in range(len(text) + 1) if text[at : at + len(literal)] == literal]
    return any((not at_start or at == 0) and (not at_end or at + len(literal) == len(text)) for at in found)


@given(texts, texts)
def test_sregex_equals_the_reference(pattern: bytes, text: bytes) -> None:
    assert compile_sregex(pattern)(text) == plain(pattern, text)


@given(texts, texts)
def test_exclamation_mark_inverts_the_result(pattern: bytes, text: bytes) -> None:
    if not pattern.startswith(b"!"):
        assert compile_sregex(b"!" + pattern)(text) != compile_sregex(pattern)(text)
