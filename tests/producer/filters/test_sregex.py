from __future__ import annotations

import pytest

from producer.filters.sregex import MAX_PATTERN_BYTES, compile_sregex


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("abc", ["abc", "xABCx"], ["ab", ""]),
        ("^abc", ["abc", "abcx"], ["xabc"]),
        ("abc$", ["abc", "xabc"], ["abcx", "abc\n"]),
        ("^abc$", ["abc", "ABC"], ["xabc", "abcx"]),
        ("^$", [""], ["a"]),
        ("", ["", "a"], []),
        ("^", ["", "a"], []),
        ("$", ["", "a"], []),
        ("|", ["", "a"], []),
        ("a|", ["", "b"], []),
        ("|a", ["", "b"], []),
        ("!", [], ["", "a"]),
        ("!^", [], ["", "a"]),
        ("!a|", [], ["", "b"]),
        ("!a|b", ["c", ""], ["a", "b"]),
        ("a|!b", ["a", "x!b"], ["b"]),
        ("!!a", ["a"], ["!a"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a*c", ["a*c"], ["abc"]),
        ("a\\|b", ["a\\", "b"], ["a"]),
        ("^^a", ["^ab"], ["a"]),
        ("a$$", ["ba$"], ["a"]),
        (" a | b", ["x a x", " b"], ["a", "b"]),
        ("^srv-é", ["SRV-é1"], ["srv-É"]),
        ("é/x$", ["1é/X"], ["é/xy"]),
        ("srv-é", ["a srv-é b"], ["srv-e"]),
        ("[", ["["], ["{"]),
    ],
)
def test_examples_of_the_specification(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = compile_sregex(pattern.encode())
    assert [text for text in matching if not matches(text.encode())] == []
    assert [text for text in others if matches(text.encode())] == []


def test_texts_are_compared_as_bytes() -> None:
    assert compile_sregex(b"\xc3")("é".encode())
    assert not compile_sregex(b"\xde")(b"\xfe")


def test_pattern_length_is_limited() -> None:
    assert compile_sregex(b"a|" * (MAX_PATTERN_BYTES // 2))(b"q")
    with pytest.raises(ValueError, match="20481 bytes"):
        compile_sregex(b"a" * (MAX_PATTERN_BYTES + 1))
