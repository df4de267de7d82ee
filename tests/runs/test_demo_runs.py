"""gin/runs: what is not the paper's is the demo, and resolves."""

import pathlib

import pytest

from t5x_lite import config as gin_config
from t5x_lite.training.config import TrainConfig

FOLDER = pathlib.Path(gin_config.packaged_root()) / "runs"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.gin")))
def test_a_run_of_the_demo_resolves(name):
    """With nothing but the folders that launch/local/demo.sh names."""
    macros = {
        "demo_pretrain": ["MODEL_DIR"],
        "demo_finetune": ["MODEL_DIR", "INITIAL_CHECKPOINT_PATH"],
    }[name]
    overrides = [("demo.sh", f"{macro}=demo") for macro in macros]
    job = gin_config.resolve(TrainConfig, [f"runs/{name}.gin"], overrides=overrides)
    assert [each.module.partition(".")[0] for each in job.imports] == ["t5x_lite"]
