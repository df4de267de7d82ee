"""Every gin/models file has a golden: parameter paths, shapes, logical axes and the count.

Checkpoints, sharding rules and importers rely on these names, so a change of one must be seen in
review. After an intended change: `python tests/goldens/update.py`.
"""

import importlib.util
import pathlib

import pytest

_SCRIPT = pathlib.Path(__file__).parents[1] / "goldens" / "update.py"
_SPEC = importlib.util.spec_from_file_location("update_goldens", _SCRIPT)
update = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(update)

MODELS = update.models()


@pytest.mark.parametrize("name", MODELS)
def test_the_parameter_tree_equals_its_golden(name):
    """Paths, shapes, axes and count, line by line."""
    golden = update.FOLDER / f"{name}.txt"
    assert golden.is_file(), f"no golden of {name}: run python tests/goldens/update.py"
    assert update.description(MODELS[name]) == golden.read_text()


def test_no_golden_is_left_over():
    """A golden without its gin file would look like a promise."""
    assert sorted(path.stem for path in update.FOLDER.glob("*.txt")) == sorted(MODELS)
