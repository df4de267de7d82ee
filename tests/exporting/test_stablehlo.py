"""Programs of StableHLO: loaded where nothing of ours is installed, they answer as the engine."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, ExactConfig, GreedyConfig, SampleConfig
from t5x_lite.errors import UserError
from t5x_lite.exporting import stablehlo
from t5x_lite.exporting.config import ExportConfig, Format
from t5x_lite.features.layouts import Layout
from t5x_lite.model.choices import ActivationDtype

pytestmark = pytest.mark.usefixtures("two_devices")

INPUTS = [[3, 17, 4, 1], [5, 1], [9, 8, 7, 6, 5, 4, 3, 2, 11, 12, 13, 1]]
TARGETS = [[7, 1], [8, 9, 21, 33, 20, 1], [1]]
# A machine with JAX and no more of our requirements.
STRANGER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("t5x_lite", "flax", "optax", "orbax", "tensorflow", "seqio"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[1])
import json
from run import Model
model = Model(sys.argv[1])
inputs, targets = json.loads(sys.argv[2])
print(json.dumps({
    "generate": model.generate(inputs),
    "alone": model.generate(inputs[1:2], first_index=1),
    "score": model.score(inputs, targets),
    "encode": [each.tolist() for each in model.encode(inputs)],
}))
"""


def config(**fields):
    return ExportConfig(path="-", output="-", format=Format.STABLEHLO, **fields)


def ask_a_stranger(folder, inputs=INPUTS, targets=TARGETS):
    """The answers of a process to which nothing of ours can be imported."""
    given = json.dumps([inputs, targets])
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, str(folder), given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("layout", "strategy"),
    [
        (Layout.ENCODER_DECODER, SampleConfig(top_k=9)),
        (Layout.ENCODER_DECODER, ExactConfig()),
        (Layout.LM, GreedyConfig()),
        (Layout.PREFIX_LM, BeamConfig()),
    ],
)
def test_a_stranger_answers_as_the_engine(layout, strategy, source_of, engine_of, tmp_path):
    """The same ids of every strategy, alone as among others; log-probabilities and vectors to the
    order of float32 sums, since a CPU of ours runs other forms than all platforms have.
    """
    source = source_of(layout)
    decoding = DecodingConfig(strategy=strategy, max_decode_length=6)
    stablehlo.write(tmp_path, source, config(decoding=decoding))
    found, engine = ask_a_stranger(tmp_path), engine_of(source)
    expected = engine.generate(INPUTS, decoding, batch_size=3)
    assert [own[0]["ids"] for own in found["generate"]] == [each.ids() for each in expected]
    assert found["alone"][0][0]["ids"] == expected[1].ids()
    for name, values in (("log_prob", "log_probs"), ("score", "scores")):
        ours = [getattr(each, values)[0] for each in expected]
        np.testing.assert_allclose([own[0][name] for own in found["generate"]], ours, rtol=1e-5)
    ours = engine.score(INPUTS, TARGETS, batch_size=3)
    for row, own in zip(found["score"], ours, strict=True):
        np.testing.assert_allclose(row, own, rtol=1e-5, atol=1e-5)
    ours = engine.encode(INPUTS, batch_size=3, mean=False)
    for row, own in zip(found["encode"], ours, strict=True):
        np.testing.assert_allclose(row, own, rtol=1e-4, atol=1e-5)


def test_a_stranger_answers_as_the_engine_in_int8(source_of, engine_of, tmp_path):
    """Whose weights it has, and not those in float32."""
    full = source_of()
    small = full.quantized()
    stablehlo.write(tmp_path, small, config())
    found = ask_a_stranger(tmp_path)["score"]
    for row, own in zip(found, engine_of(small).score(INPUTS, TARGETS, batch_size=3), strict=True):
        np.testing.assert_allclose(row, own, rtol=1e-5, atol=1e-5)
    others = engine_of(full).score(INPUTS, TARGETS, batch_size=3)
    assert max(np.abs(own - row).max() for row, own in zip(found, others, strict=True)) > 1e-4


def test_a_model_that_reads_no_start_token(source_of, engine_of, tmp_path):
    """As GPT-2: a row without inputs begins with it all the same, the others do not."""
    source = source_of(Layout.LM)
    prompts = dataclasses.replace(source.model.prompts, start_token=False, end_token=False)
    source = dataclasses.replace(source, model=dataclasses.replace(source.model, prompts=prompts))
    stablehlo.write(tmp_path, source, config())
    inputs, targets = [[5, 6], [], [7]], [[1], [8, 1], [3]]
    found, engine = ask_a_stranger(tmp_path, inputs, targets), engine_of(source)
    decoding = DecodingConfig(max_decode_length=6)
    expected = [each.ids() for each in engine.generate(inputs, decoding, batch_size=3)]
    assert [own[0]["ids"] for own in found["generate"]] == expected
    for row, own in zip(found["score"], engine.score(inputs, targets, batch_size=3), strict=True):
        np.testing.assert_allclose(row, own, rtol=1e-5, atol=1e-5)


def test_the_manifest_says_what_to_call(source_of, tmp_path):
    """Order, shapes and dtypes; parameters are in no program."""
    stablehlo.write(tmp_path, source_of(), config(platforms=("cpu",), max_decode_length=5))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["platforms"], manifest["step"]) == (["cpu"], 7)
    assert manifest["special"] == {"padding": 0, "start": 0, "end": 1, "unknown": 2, "mask": None}
    assert manifest["decoding"]["max_decode_length"] == 5
    arguments = manifest["programs"]["score"]["arguments"]
    assert [(each["name"], each.get("shape")) for each in arguments] == [
        ("parameters", None),
        ("input_tokens", ["batch", 12]),
        ("input_mask", ["batch", 12]),
        ("target_tokens", ["batch", 5]),
        ("target_mask", ["batch", 5]),
    ]
    results = manifest["programs"]["generate"]["results"]
    assert [(each["name"], each["shape"], each["dtype"]) for each in results] == [
        ("tokens", ["batch", 1, 5], "int32"),
        ("log_probs", ["batch", 1], "float32"),
        ("scores", ["batch", 1], "float32"),
    ]
    kernel = manifest["parameters"]["decoder/layers/mlp/wo/kernel"]
    assert kernel == {"shape": [2, 64, 32], "dtype": "float32"}


def test_activations_are_those_that_were_asked_for(source_of, tmp_path):
    """On all platforms alike: float32, unless told otherwise."""
    for dtype in (ActivationDtype.AUTO, ActivationDtype.BFLOAT16):
        folder = tmp_path / dtype.value
        folder.mkdir()
        stablehlo.write(folder, source_of(), config(activation_dtype=dtype))
        program = jax.export.deserialize(bytearray((folder / "encode.jax_export").read_bytes()))
        assert ("bf16" in program.mlir_module()) == (dtype is ActivationDtype.BFLOAT16)
        assert program.platforms == ("cpu", "tpu", "cuda")


def test_what_is_not_exported_is_refused(source_of, tmp_path):
    """A learned prompt."""
    source = source_of()
    source = dataclasses.replace(source, model=dataclasses.replace(source.model, prompt_length=3))
    with pytest.raises(UserError, match="learned prompt"):
        stablehlo.write(tmp_path, source, config())
    with pytest.raises(UserError, match="FORBID_SENTINELS|sentinels"):
        decoding = DecodingConfig(forbid_sentinels=True)
        stablehlo.write(tmp_path, source_of(), config(decoding=decoding))
