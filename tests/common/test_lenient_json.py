from __future__ import annotations

import json

import pytest

from common import lenient_json
from common.json_depth import MAX_DEPTH


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"007", 7),
        (b"-007", -7),
        (b"7.", 7.0),
        (b"-.5", -0.5),
        (b"1.e2", 100.0),
        (b"1e400", float("inf")),
        (b"9" * 400, float("inf")),
        (b'"a\x01\tb"', "a\x01\tb"),
        (b'"\xff"', "\udcff"),
        (rb'"\ud83d"', "\ud83d"),
        (rb'"\ud83d\udd25\u00e9"', "🔥é"),
        (b"\xef\xbb\xbf[]", []),
        (b"\x0b[ \x1f1 ,\r2]\n", [1, 2]),
        (b"\0\0[1]\0", [1]),
        (b"[1]\0[2]", [1]),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"[true,false,null,{}]", [True, False, None, {}]),
    ],
)
def test_lenient_values_are_accepted(raw: bytes, value: object) -> None:
    assert lenient_json.parse(raw, levels=9) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "{", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", "{,}"),
        *("NaN", "Infinity", "-Infinity", "-", "+7", ".5", "0x7", "1e", "tru", "nullx", "٣", "1 2", "{}{}", "[]]"),
        *('"', '"a', r'"\x41"', r'"\u12"', r'"\u+123"', "'a'", "[1}", '{"a":[}]', "{}/* c */", '{"a" 1}'),
    ],
)
@pytest.mark.parametrize("levels", [0, 1, 9])
def test_invalid_json_is_rejected(text: str, levels: int) -> None:
    with pytest.raises(ValueError, match=r"char"):
        lenient_json.parse(text.encode(), levels=levels)


def test_only_the_outer_levels_are_kept() -> None:
    raw = b'{"a":{"b":[1,[2],{"c":3}]},"d":[[{},[]]]}'
    assert lenient_json.parse(raw, levels=3) == {
        "a": {"b": [1, lenient_json.ELIDED, lenient_json.ELIDED]},
        "d": [[lenient_json.ELIDED, lenient_json.ELIDED]],
    }
    assert lenient_json.parse(raw, levels=0) is lenient_json.ELIDED
    assert lenient_json.parse(raw, levels=9) == json.loads(raw)


@pytest.mark.parametrize("odd", [b"1", b"007"])
@pytest.mark.parametrize("levels", [1, 200])
def test_maximum_depth_is_that_of_the_stock_integrator(levels: int, odd: bytes) -> None:
    half = MAX_DEPTH // 2
    raw = b'[{"b":' * half + odd + b"}]" * half
    assert lenient_json.parse(raw, levels=levels)
    with pytest.raises(ValueError, match="nested too deeply"):
        lenient_json.parse(b"[" + raw + b"]", levels=levels)
