"""gin files written for one test, and the text of what is wrong with them."""

import pytest

from t5x_lite import config
from t5x_lite.model.config import ModelConfig

TINY_MODEL = """
ModelConfig.vocab_size = 128
ModelConfig.embed_dim = %EMBED_DIM
ModelConfig.decoder = @decoder/StackConfig()
EMBED_DIM = 16
StackConfig.num_layers = 2
StackConfig.visibility = "causal"
AttentionConfig.num_heads = 2
AttentionConfig.head_dim = 8
MLPConfig.mlp_dim = 32
"""


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """A function that writes files into an otherwise empty working directory."""
    monkeypatch.chdir(tmp_path)

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.gin").write_text(text)
        return tmp_path

    return write


@pytest.fixture
def resolve(in_folder):
    """Resolves a config from the texts of files, in order, and flags NAME=VALUE."""

    def run(*texts, flags=(), root=ModelConfig, **settings):
        names = [f"file_{number}" for number in range(len(texts))]
        in_folder(**dict(zip(names, texts, strict=True)))
        overrides = [(f"--gin.{flag.partition('=')[0]}", flag) for flag in flags]
        files = [f"{name}.gin" for name in names]
        return config.resolve(root, files, overrides=overrides, **settings)

    return run


@pytest.fixture
def problems(resolve):
    """The lines of the error that texts and flags give."""

    def run(*texts, **settings):
        with pytest.raises(config.ConfigError) as caught:
            resolve(*texts, **settings)
        heading, *lines = str(caught.value).splitlines()
        assert heading.split()[0] == str(len(lines))
        return [line.removeprefix("  - ") for line in lines]

    return run


@pytest.fixture
def tiny_model():
    return TINY_MODEL
