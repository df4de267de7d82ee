"""What is read of a run's gin text is what the text says."""

import pytest

from t5x_lite import config, gin_text
from t5x_lite.training.config import TrainConfig

MACROS = {
    "MODEL_DIR": "'/runs/a = b'",
    "MIXTURE_OR_TASK_NAME": "'some_task'",
    "TASK_FEATURE_LENGTHS": "{'inputs': 512, 'targets': 114}",
    "TRAIN_STEPS": "10",
    "ParameterGroup.pattern": "'a/b|c = d'",
    "TrainConfig.parameter_groups": "(@ParameterGroup(),)",
}


@pytest.fixture(scope="module")
def resolved():
    """A job whose text has imports, macros, and values of several lines."""
    files = ["models/t5_1_1/small.gin", "recipes/pretrain.gin"]
    imports = (config.named_by_flag("json", "a test"),)
    overrides = [(f"--gin.{name}", f"{name}={value}") for name, value in MACROS.items()]
    return config.resolve(TrainConfig, files, overrides=overrides, imports=imports)


def test_the_statements_alone_give_the_same_job(resolved, tmp_path):
    """Each on one line: no name and no value is lost or joined to another."""
    text = resolved.operative_config
    found = gin_text.statements(text)
    assert len(found) < len([line for line in text.splitlines() if line]), "some go over lines"
    file = tmp_path / "again.gin"
    file.write_text("".join(f"{name} = {value}\n" for name, value in found.items()))
    assert config.resolve(TrainConfig, [str(file)]).config == resolved.config


def test_macros_are_the_statements_without_a_class(resolved):
    found = gin_text.macros(resolved.operative_config)
    assert found["MODEL_DIR"] == MACROS["MODEL_DIR"]
    statements = gin_text.statements(resolved.operative_config)
    assert found.keys() == {name for name in statements if "." not in name}


def test_a_text_without_imports_lacks_nothing_else(resolved):
    text = resolved.operative_config
    assert gin_text.imports(text) == ["import json"]
    assert gin_text.without_imports(text) == text.replace("import json\n", "")
