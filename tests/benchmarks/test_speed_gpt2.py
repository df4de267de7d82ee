"""benchmarks/speed of GPT-2: rows of inputs and targets, one after the other, behind a start token.

That peers answer the same is tests/parity/test_speed_live.py.
"""

import dataclasses

import numpy as np
import pytest

from benchmarks.speed import __main__ as command
from benchmarks.speed import checks, limits, models, rounds, vocabulary
from benchmarks.speed.arm import SECONDS
from benchmarks.speed.arms import ours
from benchmarks.speed.settings import Settings

# Rows for each of the simulated devices.
SHAPE = {"size": "gpt2/tiny", "batch": 8, "inputs": 8, "targets": 4}
MACHINE = {"peak_gflops": 100.0, "read_gb_per_second": 10.0}
END = 4095


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A tiny model that is written."""
    settings = Settings(**SHAPE, folder=str(tmp_path_factory.mktemp("speed")))
    models.write(settings)
    return settings


def test_pieces_are_other_texts():
    tokenizer = vocabulary.made_up_byte_pairs(50_257)
    assert tokenizer.num_ids == 50_257 and tokenizer.special.end == 50_256
    texts = {tokenizer.bytes_of[i] for i in vocabulary.ordinary_byte_pairs(50_257)}
    assert len(texts) == 50_256 and b"" not in texts


def test_no_text_of_the_model_ends(settings):
    """Greedy decoding and beams write all targets, ordinary pieces only; of int8 as many."""
    rows = {
        name: {"ours": make(settings).answer, "ours_int8": make(settings, weights="int8").answer}
        for name, make in (("greedy", ours.decode), ("beam", ours.beam))
    }
    for name, answers in rows.items():
        checks.check(name, answers, length=settings.targets)
        assert np.max(answers["ours"]) < END


def test_tokens_depend_on_all_that_was_read(settings, monkeypatch):
    """A model that goes on writing its last token would answer alike whatever a cache holds."""
    inputs, targets = settings.rows()
    other = inputs.copy()
    other[:, 0] = (inputs[:, 0] + 1) % END
    answer = ours.decode(settings).answer
    assert max(len(set(row)) for row in answer) > 1
    monkeypatch.setattr(Settings, "rows", lambda settings: (other, targets))
    assert ours.decode(settings).answer != answer


def test_training_and_scoring_predict_every_token_behind_a_start_token(settings):
    batch = ours.train_batch(settings)
    rows = np.concatenate(settings.rows(), axis=1)
    np.testing.assert_array_equal(batch["decoder_target_tokens"], rows)
    np.testing.assert_array_equal(batch["decoder_input_tokens"][:, 0], END)
    np.testing.assert_array_equal(batch["decoder_input_tokens"][:, 1:], rows[:, :-1])
    assert not any(name.startswith("encoder_") for name in batch)
    assert ours.train_job(settings).dataset.task_feature_lengths == {"targets": 12}
    prepared, scores = ours.train(settings), ours.score(settings).answer
    assert prepared.answer == pytest.approx(-np.mean(scores) / 12, rel=1e-5)
    assert prepared.answer == pytest.approx(np.log(4_096), abs=0.5)
    assert prepared.run()[SECONDS] > 0
    assert {"forward: Linear", "backward: Attention"} < set(prepared.facts["operations"])


def test_limits_are_those_of_a_stack_without_an_encoder():
    """Of GPT-2 small, 4 rows of 256 and 64, by hand: 12 layers of 4 x 768 x 768 and 2 x 768 x 3072
    are 84,934,656 weights, the table, which is the head too, 768 x 50,257 = 38,597,376.
    """
    small = Settings(size="gpt2/small")
    layers, head = 84_934_656, 38_597_376
    row = 2 * 320 * (layers + head) + 12 * 4 * 320 * 320 * 768
    assert row == 82_835_374_080
    assert limits.seconds("score", small, MACHINE, 4) == pytest.approx(4 * row / 100e9)
    assert limits.seconds("train", small, MACHINE, 4) == pytest.approx(3 * 4 * row / 100e9)
    # The head is asked behind the last token of a prompt only, which gives the first token.
    prompt = 4 * (2 * 256 * layers + 2 * head + 12 * 4 * 256 * 256 * 768)
    assert prompt == 183_918_630_912
    for name, beams in (("greedy", 1), ("beam", 4)):
        # Keys and values of the prompt, once for all beams, and of half of the targets.
        cached = 12 * 2 * 768 * 4 * (256 + beams * 32)
        for size in (4, 1):
            reading = (size * (layers + head) + 4 * cached) / 10e9
            multiplying = 2 * 4 * beams * (layers + head) / 100e9
            expected = prompt / 100e9 + 63 * max(reading, multiplying)
            assert limits.seconds(name, small, MACHINE, size) == pytest.approx(expected)
    slow = dataclasses.replace(small, targets=2)
    products = MACHINE | {"read_gb_per_second": 1e9}
    found = limits.seconds("greedy", slow, products, 4)
    assert found == pytest.approx((prompt + 2 * 4 * (layers + head)) / 100e9)


def test_what_is_of_t5_alone_is_refused_before_anything_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rounds, "measure", lambda *_: pytest.fail("it ran"))

    def said(*words):
        assert command.main([*words, f"--output={tmp_path}"]) == 2
        return capsys.readouterr().err

    text = said("train", "encode", "startup", "--size=gpt2/tiny")
    assert "--size=gpt2/tiny: of T5 alone, not of GPT-2, is what encode, startup measures" in text
    assert "ask for train, or give a size of T5" in text
    for name in ("evaluate", "input"):
        assert "ask for train, greedy, beam, score, checkpoint, or" in said(name, "--size=gpt2/xl")
    text = said("train", "--size=gpt3/small")
    assert "--size=gpt3/small: no such family" in text and "small (T5), gpt2/small (GPT-2)" in text
