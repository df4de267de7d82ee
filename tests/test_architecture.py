"""What the map of rooms promises and import-linter cannot see."""

import ast
import pathlib
import re

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "t5x_lite"
# They work for every model, so none of them may know one by name; prose may.
ROOMS = ("training", "optim", "data", "decoding", "partitioning", "stability", "losses")
FAMILIES = re.compile(
    r"(?<![a-z0-9])(m|um|by|flan_?)?(t5|gpt2?|gpt_?3|bert|roberta|albert|electra|xlnet)(?![a-z0-9])"
)
MAX_LINES = 400


def _spoken(tree: ast.Module) -> list[str]:
    """Identifiers and string literals of a module, without its docstrings."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found = []
    for node in ast.walk(tree):
        for name in ("id", "attr", "name", "arg", "module"):
            if isinstance(value := getattr(node, name, None), str):
                found.append(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            found.append(node.value)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_family_is_named_where_all_are_served(room):
    """A family is gin files, a table of names and perhaps a head: no branch anywhere else."""
    named = {
        f"{path.relative_to(PACKAGE)}: {text[:80]!r}"
        for path in (PACKAGE / room).rglob("*.py")
        for text in _spoken(ast.parse(path.read_text()))
        # CamelCase as well: a border before each capital that follows a small letter.
        if FAMILIES.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower())
    }
    assert not named, "\n".join(sorted(named))


def test_the_search_for_families_finds_them():
    """Names, literals and camel case, and not T5X's."""
    code = 'import t5x_lite\nclass TinyBert:\n    kind = "gpt2"\ndef load_t5(path): "of BERT"'
    found = [text for text in _spoken(ast.parse(code))]
    hits = [t for t in found if FAMILIES.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", t).lower())]
    assert sorted(hits) == ["TinyBert", "gpt2", "load_t5"]


def test_a_file_is_one_idea():
    """Nobody reads on after 400 lines."""
    roots = (PACKAGE, PACKAGE.parent / "tasks", PACKAGE.parent / "tests")
    lengths = {
        str(path.relative_to(PACKAGE.parent)): len(path.read_text().splitlines())
        for root in roots
        for path in root.rglob("*.py")
    }
    assert not {name: count for name, count in lengths.items() if count > MAX_LINES}
