"""Prompt tuning (Lester et al. 2021): a prompt is read as if it were text before the inputs."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.finetuning import prompts
from t5x_lite.model import transformer
from t5x_lite.model.config import LoraConfig
from t5x_lite.optim.config import AdafactorConfig

PROMPT = (5, 9, 17)
LENGTH = len(PROMPT)
EXAMPLES = (([7, 8, 21, 1], [3, 4, 1]), ([11, 1], [6, 13, 2, 1]), ([30, 22, 1], [1]))


def rows(sequences, length):
    """Padded with zeros on the right."""
    return np.stack([np.pad(np.asarray(s, np.int32), (0, length - len(s))) for s in sequences])


def unpacked(model, examples, *, with_text=()):
    """A row for each example; its inputs begin with `with_text`."""
    examples = [([*with_text, *inputs], targets) for inputs, targets in examples]
    width = 6 + len(with_text)
    if model.encoder is not None:
        targets = rows([t for _, t in examples], 5)
        inputs = {"encoder_input_tokens": rows([i for i, _ in examples], width)}
    else:
        targets = rows([i + t for i, t in examples], width + 5)
        prefixes = [[1] * (len(i) + 1) for i, _ in examples]
        inputs = {"decoder_causal_attention": rows(prefixes, width + 5)}
    shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    return {**inputs, "decoder_input_tokens": shifted, "decoder_target_tokens": targets}


def packed(model, examples, length=28):
    """All examples in one row, with room for the prompt in front of the inputs of each."""
    inputs, targets = ([[1] * LENGTH + i for i, _ in examples], [t for _, t in examples])
    batch = {}

    def put(stack, parts):
        numbered = list(enumerate(parts, 1))
        segments = np.concatenate([np.full(len(part), n) for n, part in numbered])
        batch[f"{stack}_segment_ids"] = rows([segments], length)
        batch[f"{stack}_positions"] = rows(
            [np.concatenate([np.arange(len(part)) for part in parts])], length
        )
        return rows([np.concatenate(parts)], length)

    if model.encoder is not None:
        batch["encoder_input_tokens"] = put("encoder", inputs)
    else:
        targets = [i + t for i, t in zip(inputs, targets, strict=True)]
        prefixes = [np.arange(len(t)) <= len(i) for i, t in zip(inputs, targets, strict=True)]
        batch["decoder_causal_attention"] = rows([np.concatenate(prefixes)], length)
    batch["decoder_target_tokens"] = put("decoder", targets)
    batch["decoder_input_tokens"] = rows([np.concatenate([[0, *t[:-1]] for t in targets])], length)
    return batch


def of_text(parameters):
    """The parameters with a prompt that is the vectors of PROMPT's tokens."""
    table = parameters["token_embedder"]["embedding"]
    return {**parameters, "prompt": {"embedding": table[list(PROMPT)]}}


@pytest.fixture(params=["encoder_decoder", "prefix_lm"])
def architecture(request):
    """One with an encoder, one without: the others put a prompt where these do."""
    return request.param


@pytest.fixture
def prompted(architecture, model_of, parameters_of):
    """A model with a prompt, and parameters in which it is text."""
    model = model_of(architecture, prompt_length=LENGTH)
    return model, of_text(parameters_of(model))


def targets_only(logits, batch, examples, *, ahead):
    """The logits that predict targets, example by example; `ahead` positions stand before each."""
    found = []
    for row, (inputs, targets) in zip(logits, examples, strict=True):
        first = ahead + (0 if "encoder_input_tokens" in batch else len(inputs))
        found.append(row[first : first + len(targets)])
    return np.concatenate(found)


def test_a_prompt_of_text_is_that_text(prompted, parameters_of, logits_of):
    """Same logits as the plain model on inputs that begin with the text, and
    the same from rows that are packed, whose examples do not see each other.
    """
    model, parameters = prompted
    plain, text = parameters_of(model.plain), unpacked(model, EXAMPLES, with_text=PROMPT)
    ahead = 0 if model.encoder is not None else LENGTH
    expected = targets_only(logits_of(model.plain, plain, text), text, EXAMPLES, ahead=ahead)
    tolerance = {"rtol": 0, "atol": 1e-5 * np.abs(expected).max()}

    batch = unpacked(model, EXAMPLES)
    logits = logits_of(model, parameters, batch)
    assert logits.shape[1] == batch["decoder_input_tokens"].shape[1]
    found = targets_only(logits, batch, EXAMPLES, ahead=0)
    np.testing.assert_allclose(found, expected, **tolerance)

    batch = packed(model, EXAMPLES)
    row, first, together = logits_of(model, parameters, batch)[0], 0, []
    for inputs, targets in EXAMPLES:
        first += 0 if model.encoder is not None else LENGTH + len(inputs)
        together.append(row[first : first + len(targets)])
        first += len(targets)
    np.testing.assert_allclose(np.concatenate(together), expected, **tolerance)


@pytest.mark.parametrize("architecture", ["encoder_decoder", "lm"], indirect=True)
def test_decoding_with_a_cache_sees_what_was_added(
    architecture, model_of, parameters_of, logits_of, compiled
):
    """Prompt, adapters and LoRA: token by token the logits of the whole forward pass, rows of
    different lengths.
    """
    lora = LoraConfig(rank=2, targets=("key", "value"))
    model = model_of(architecture, prompt_length=LENGTH, adapter_dim=16, lora=lora)
    parameters = parameters_of(model)
    examples = [(inputs, [3, 4]) for inputs, _ in EXAMPLES]
    batch = unpacked(model, examples)
    whole = targets_only(logits_of(model, parameters, batch), batch, examples, ahead=0)
    name = "encoder_input_tokens" if model.encoder is not None else "decoder_prefix_tokens"
    given = {name: rows([inputs for inputs, _ in examples], 6)}
    first, cache = compiled(transformer.start, model, max_decode_length=2)(parameters, given)
    tokens = np.full(len(examples), 3, np.int32)
    second, _ = compiled(transformer.advance, model)(parameters, tokens, cache)
    found = np.stack([first, second], axis=1).reshape(whole.shape)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_embeddings_are_of_the_inputs_alone(model_of, parameters_of, compiled):
    """Whoever averages them finds as many as there are tokens."""
    model = model_of(prompt_length=LENGTH)
    batch = {"encoder_input_tokens": rows([i for i, _ in EXAMPLES], 6)}
    found = compiled(transformer.encode, model)(parameters_of(model), batch)
    assert found.shape == (3, 6, 32)


def test_packed_rows_need_positions(model_of, parameters_of):
    """Without them nobody knows where an example begins."""
    model = model_of("lm", prompt_length=LENGTH)
    batch = packed(model, EXAMPLES)
    del batch["decoder_positions"]
    with pytest.raises(ValueError, match="decoder_positions, which tell where each example begins"):
        jax.eval_shape(functools.partial(transformer.apply, model), parameters_of(model), batch)


def test_a_prompt_begins_as_vectors_of_different_tokens(model_of, parameters_of):
    """Of the most common pieces, none of the first three ids, which are no text."""
    model = model_of(prompt_length=20)
    parameters = jax.tree.map(jax.numpy.asarray, parameters_of(model))
    found = prompts.from_vocabulary(parameters, jax.random.key(0))
    table = np.asarray(parameters["token_embedder"]["embedding"])
    same = np.all(np.asarray(found["prompt"]["embedding"])[:, None] == table[None], axis=-1)
    assert (same.sum(axis=1) == 1).all()
    ids = same.argmax(axis=1)
    assert len(set(ids)) == 20
    assert ids.min() >= 3
    assert found["token_embedder"] is parameters["token_embedder"]


def test_one_include_adds_a_prompt_and_trains_it_alone(job_of, trains_of):
    """100 vectors of 768, with the optimizer of the paper, and room for them in packed rows."""
    names, parameters = trains_of(["models/t5_1_0/base.gin"], "prompt_tuning")
    assert names == ["prompt/embedding"]
    assert parameters["prompt/embedding"].shape == (100, 768)
    job = job_of(["models/t5_1_0/tiny.gin"], "prompt_tuning", "PROMPT_LENGTH=7")
    assert job.model.prompt_length == job.dataset.prompt_length == 7
    assert job.optimizer == AdafactorConfig(multiply_by_parameter_scale=False, weight_decay=1e-5)
    assert job.learning_rate.base_learning_rate == 0.3
    added = transformer.num_parameters(job.model) - transformer.num_parameters(job.model.plain)
    assert added == 7 * job.model.embed_dim


def test_a_prompt_without_room_for_it_is_refused(job_of):
    """It would take the place of the first tokens of each packed example."""
    job = job_of(["models/t5_1_0/tiny.gin"], None)
    with pytest.raises(ValueError, match=r"prompt_length=0 and model.prompt_length=5"):
        dataclasses.replace(job, model=dataclasses.replace(job.model, prompt_length=5))
    with pytest.raises(gin_config.ConfigError, match="PROMPT_LENGTH"):
        job_of(["models/t5_1_0/tiny.gin"], "prompt_tuning", "PROMPT_LENGTH=-1")
