"""What can be wrong with bytes, JSON, gin and flags, as hypothesis strategies."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

# What a file may be in place of the one that is meant.
OTHER_KINDS = (
    b"",
    b"\n",
    b"hello world\n",
    b"<!DOCTYPE html><html><body>404</body></html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 791656\n",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    b"PK\x03\x04" + bytes(60),
    b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.",
    "{}".encode("utf-16"),
    b"\xff\xfe\xfd",
    bytes(1000),
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 5000,
)
# What may stand in JSON, or in gin, where another value belongs.
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    0.5,
    2**31,
    2**64,
    10**21,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "64",
    "x" * 3000,
    "\0",
    "../../x",
    "/etc/passwd",
    "~nosuchuser/x",
    "http://host/x",
    "s3://bucket/x",
    "\u2028\U0001f600",
    [],
    [[]],
    [1, "a"],
    {},
    {"a": 1},
    {"a": {"b": [None]}},
)
GIN_VALUES = (
    *(repr(value) for value in VALUES if value == value and value not in (1e400,)),
    "1e999",
    "-1e999",
    "%UNKNOWN",
    "%VOCAB_SIZE",
    "%gin.REQUIRED",
    "@Nothing()",
    "@ModelConfig()",
    "@ModelConfig",
    "@a/b/c/StackConfig()",
    "(",
    "'",
    "{1: 2}",
    "[" * 60 + "]" * 60,
    "[" * 3000 + "]" * 3000,
    "0x10",
    "1_000",
    "lambda: 1",
    "__import__('os')",
)


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A file that was cut off, flipped, filled or exchanged."""
    how = draw(st.sampled_from(("cut", "flip", "insert", "repeat", "other")))
    size = len(content)
    place = draw(st.integers(0, max(size - 1, 0)))
    if how == "cut":
        return content[:place]
    if how == "flip":
        flipped = bytearray(content)
        for _ in range(draw(st.integers(1, 4))):
            flipped[draw(st.integers(0, max(size - 1, 0)))] ^= draw(st.integers(1, 255))
        return bytes(flipped)
    if how == "insert":
        return content[:place] + draw(st.binary(min_size=1, max_size=20)) + content[place:]
    if how == "repeat":
        return content[:place] + content
    return draw(st.sampled_from(OTHER_KINDS))


@st.composite
def changed_json(draw: st.DrawFn, value: Any) -> Any:
    """JSON of which one to three members are others, gone, or more."""
    root = {"": copy.deepcopy(value)}
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(_places(root)))
        how = draw(st.sampled_from(("exchange", "exchange", "remove", "add")))
        if how == "exchange" or holder is root:
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif how == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return root[""]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of a JSON value, as (what holds it, its key)."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, member in list(members):
        found.append((value, key))
        if isinstance(member, dict | list):
            found += _places(member)
    return found


@st.composite
def changed_json_file(draw: st.DrawFn, content: bytes) -> bytes:
    """A file of JSON with other members, or with other bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(changed_bytes(content))
    return json.dumps(draw(changed_json(json.loads(content)))).encode()


@st.composite
def changed_gin(draw: st.DrawFn, text: str) -> bytes:
    """A gin file with other values, lines that are gone, doubled, exchanged, or other bytes."""
    if draw(st.integers(0, 5)) == 0:
        return draw(changed_bytes(text.encode()))
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(("value", "value", "value", "remove", "double", "swap", "name")))
        name, equals, _ = lines[place].partition("=")
        if how == "value" and equals:
            lines[place] = f"{name}= {draw(st.sampled_from(GIN_VALUES))}"
        elif how == "remove":
            lines[place] = ""
        elif how == "double":
            lines.insert(place, lines[place])
        elif how == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
        else:
            lines[place] = draw(st.text(max_size=20)) + lines[place]
    return "\n".join(lines).encode(errors="surrogatepass")
