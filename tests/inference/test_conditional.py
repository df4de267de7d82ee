"""Beams that ask a head of the model whether what they begin will have an attribute."""

import dataclasses

import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, ConditionalBeamConfig
from t5x_lite.errors import UserError
from t5x_lite.features.attributes import REPEATED
from t5x_lite.features.config import Attribute
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig
from t5x_lite.testing import tiny_model

HEADS = (HeadConfig(), HeadConfig(kind=HeadKind.ATTRIBUTE, attribute=Attribute.NO_REPETITION))
# Of eight tokens runs do come again.
VOCAB, LENGTH = 8, 12


def decoding(strategy):
    return DecodingConfig(strategy=strategy, max_decode_length=LENGTH, min_decode_length=7)


JUDGED = decoding(ConditionalBeamConfig(beam_size=2, candidates=3))


@pytest.fixture(scope="module")
def judge_of(mesh, random_parameters):
    """(layout, partitions, devices, seeds) -> an engine whose models have such a head."""

    def make(architecture, num_partitions, devices, seeds=(0,)):
        partitioner = mesh(num_partitions, devices)
        model = dataclasses.replace(tiny_model(VOCAB, architecture), heads=HEADS)
        abstract = abstract_parameters(model, partitioner)
        parameters = [place_parameters(random_parameters(model, seed), abstract) for seed in seeds]
        return Engine(Ensemble((model,) * len(seeds)), parameters, partitioner)

    return make


def repeats(ids):
    runs = [tuple(ids[n : n + REPEATED]) for n in range(len(ids) - REPEATED + 1)]
    return len(set(runs)) < len(runs)


@pytest.mark.parametrize("architecture", [Layout.ENCODER_DECODER, Layout.LM], ids=str)
def test_answers_have_the_attribute_whatever_the_batch_and_the_mesh(architecture, judge_of):
    """In a batch on one device as in pools on four by two; log-probabilities are those of
    scoring."""
    prompts = [[3 + place % 5, 2 + place % 4, 1] for place in range(9)]
    alone = judge_of(architecture, 1, 1)
    expected = alone.generate(prompts, JUDGED, batch_size=9)
    found = judge_of(architecture, 2, 8).generate(prompts, JUDGED, batch_size=3, widths=(4,))
    assert [each.ids() for each in found] == [each.ids() for each in expected]
    ended = [each for each in expected if each.ended()]
    assert len(ended) > 2 and not any(repeats(each.ids()) for each in ended)
    scores = alone.score(prompts, [each.ids() for each in expected], batch_size=9)
    for each, own in zip(expected, scores, strict=True):
        if 0 not in each.ids():
            assert float(own.sum()) == pytest.approx(float(each.log_probs[0]), rel=1e-3)


def test_the_judge_is_heard(judge_of):
    """Candidates are kept by what it tells, so other beams survive than without it; and judges
    judge together.
    """
    prompts = [[3 + place % 5, 2 + place % 4, 1] for place in range(9)]
    engine = judge_of(Layout.ENCODER_DECODER, 1, 1)
    deaf = decoding(ConditionalBeamConfig(beam_size=2, candidates=3, attribute=Attribute.ANYTHING))
    heard = engine.generate(prompts, JUDGED, batch_size=9)
    assert [e.ids() for e in heard] != [
        e.ids() for e in engine.generate(prompts, deaf, batch_size=9)
    ]
    twins = judge_of(Layout.ENCODER_DECODER, 1, 1, seeds=(0, 0))
    found = twins.generate(prompts, JUDGED, batch_size=9)
    assert [each.ids() for each in found] == [each.ids() for each in heard]


def test_an_attribute_without_its_judge_is_refused(judge_of, engine_of):
    """Both sides, and what to do; what is exact needs none."""
    prompts, plain = [[3, 1]], engine_of()
    with pytest.raises(UserError, match="'no_repetition'.*no head that tells.*attribute.gin"):
        plain.generate(prompts, JUDGED, batch_size=1)
    other = decoding(ConditionalBeamConfig(attribute=Attribute.COMPLETE))
    with pytest.raises(UserError, match="'complete' is asked for, and the model tells 'no_rep"):
        judge_of(Layout.ENCODER_DECODER, 1, 1).generate(prompts, other, batch_size=1)
    exact = decoding(ConditionalBeamConfig(candidates=2, attribute=Attribute.ANYTHING))
    beam = decoding(BeamConfig(alpha=0.0))
    one, same = (plain.generate(prompts, each, batch_size=1)[0].ids() for each in (exact, beam))
    assert one == same
