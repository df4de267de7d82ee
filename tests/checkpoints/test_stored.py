"""How many bytes parameters take where they are stored, and as what."""

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.checkpoints.stored import stored
from t5x_lite.model import transformer
from t5x_lite.testing import tiny_model

MODEL = tiny_model(48)
PARAMETERS = jax.tree.map(
    lambda leaf: np.ones(leaf.shape, np.float32), transformer.abstract_parameters(MODEL)
)


def test_of_a_run_the_slots_are_not_counted(tmp_path):
    """Of each type what it takes."""
    model, parameters = transformer.quantize(MODEL, jax.tree.map(jnp.asarray, PARAMETERS))
    checkpoints = Checkpoints(tmp_path, SaveCheckpointConfig(keep=1))
    state = {"parameters": parameters, "optimizer_state": {"m": jnp.zeros(1000)}}
    checkpoints.save(3, state, describe_run("", model), {})
    checkpoints.close()
    found = stored(tmp_path)
    assert found.dtypes == ("float32", "int8")
    assert found.num_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(parameters))


def test_a_hugging_face_directory_may_hold_others(tmp_path):
    """What is read as float32 may be stored in half of it."""
    huggingface.save(tmp_path, MODEL, PARAMETERS)
    count = transformer.num_parameters(MODEL)
    assert stored(tmp_path) == (4 * count, ("float32",))
    file = tmp_path / "model.safetensors"
    tensors = safetensors.numpy.load_file(file)
    half = {name: tensor.astype(jnp.bfloat16) for name, tensor in tensors.items()}
    safetensors.numpy.save_file(half, file, metadata={"format": "pt"})
    assert stored(tmp_path) == (2 * count, ("bfloat16",))
