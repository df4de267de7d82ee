"""What decoders write today is what they wrote before they were rows of a table."""

import json
import pathlib

import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, GreedyConfig, SampleConfig
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.testing import tiny_model

STORED = json.loads(
    (pathlib.Path(__file__).parents[1] / "goldens" / "decoded_ids.json").read_text()
)
PROMPTS = [[3 + (7 * n + k) % 30 for k in range(1 + n % 5)] + [1] for n in range(6)]
STRATEGIES = {
    "greedy": (GreedyConfig(), 1),
    "beam": (BeamConfig(beam_size=3), 2),
    "sample": (SampleConfig(top_k=10, top_p=0.9, temperature=0.8, seed=4), 2),
}


@pytest.mark.parametrize(
    "layout", [Layout.ENCODER_DECODER, Layout.LM, Layout.PREFIX_LM], ids=lambda each: each.value
)
def test_ids_are_those_that_were_stored(layout, mesh, random_parameters):
    """Of random models that read from left to right; every strategy has its own."""
    partitioner, model = mesh(1, 1), tiny_model(vocab_size=40, architecture=layout)
    abstract = abstract_parameters(model, partitioner)
    parameters = place_parameters(random_parameters(model), abstract)
    engine = Engine(Ensemble((model,)), [parameters], partitioner)
    for name, (strategy, count) in STRATEGIES.items():
        decoding = DecodingConfig(strategy=strategy, num_decodes=count, max_decode_length=10)
        found = engine.generate(PROMPTS, decoding, batch_size=len(PROMPTS))
        ids = [[each.ids(decode) for decode in range(count)] for each in found]
        assert ids == STORED[f"{layout.value} {name}"], name
