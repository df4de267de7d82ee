"""Writes tests/goldens/models anew, a text per model: `python tests/goldens/update.py`.

Look at the difference before committing it: it is what users' checkpoints will meet.
"""

import math
import pathlib

import jax

from t5x_lite import config as gin_config
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

FOLDER = pathlib.Path(__file__).parent / "models"
_VARIED = "models/t5_1_0/base.gin"


def models() -> dict[str, list[str]]:
    """Name of each golden -> its gin files: every size, and base in every architecture."""
    root = gin_config.packaged_root()
    sizes = sorted(path for path in (root / "models").glob("*/*.gin"))
    found = {}
    for path in sizes:
        family, size = path.parent.name, path.stem
        if family == "architectures":
            found[f"t5_1_0_base_{size}"] = [_VARIED, f"models/architectures/{path.name}"]
        else:
            found[f"{family}_{size}"] = [f"models/{family}/{path.name}"]
    return found


def description(gin_files: list[str]) -> str:
    """One line per parameter: path, shape, axes; then the count."""
    config = gin_config.resolve(ModelConfig, gin_files).config
    shapes = jax.tree_util.tree_leaves_with_path(transformer.abstract_parameters(config))
    axes = jax.tree.leaves(
        transformer.parameter_axes(config), is_leaf=lambda node: isinstance(node, tuple)
    )
    lines, total = [], 0
    for (path, leaf), names in zip(shapes, axes, strict=True):
        name = "/".join(key.key for key in path)
        shape = " ".join(f"{axis}={size:,}" for axis, size in zip(names, leaf.shape, strict=True))
        lines.append(f"{name:<72} {shape}")
        total += math.prod(leaf.shape)
    return "\n".join([*lines, "", f"{total:,} parameters", ""])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name, gin_files in models().items():
        (FOLDER / f"{name}.txt").write_text(description(gin_files))
