"""Prompt tuning (Lester et al. 2021): a prompt is read as if it were text before the inputs."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.features.config import SpecialTokens
from t5x_lite.finetuning import prompts
from t5x_lite.model import transformer
from t5x_lite.model.config import LoraConfig
from t5x_lite.optim.config import AdafactorConfig

pytestmark = pytest.mark.usefixtures("two_devices")

PROMPT = (5, 9, 17)
# What the data leaves in front of inputs for a prompt of as many vectors: it is not read.
ROOM = (1, 1, 1)
LENGTH = len(PROMPT)
EXAMPLES = (([7, 8, 21, 1], [3, 4, 1]), ([11, 1], [6, 13, 2, 1]), ([30, 22, 1], [1]))
ALONE, TOGETHER = [[example] for example in EXAMPLES], [EXAMPLES]


def rows(sequences, length):
    """Padded with zeros on the right."""
    return np.stack([np.pad(np.asarray(s, np.int32), (0, length - len(s))) for s in sequences])


def batch_of(model, groups, *, ahead, length=28):
    """A row for each group of examples; the inputs of each begin with `ahead`."""
    batch = {}

    def put(name, parts_of):
        parts = [[parts_of([*ahead, *i], t) for i, t in group] for group in groups]
        batch[name] = rows([np.concatenate(row) for row in parts], length)
        numbered = [[np.full(len(p), n) for n, p in enumerate(row, 1)] for row in parts]
        return rows([np.concatenate(row) for row in numbered], length)

    if model.encoder is not None:
        batch["encoder_segment_ids"] = put("encoder_input_tokens", lambda i, t: i)
        batch["decoder_segment_ids"] = put("decoder_target_tokens", lambda i, t: t)
        put("decoder_input_tokens", lambda i, t: [0, *t[:-1]])
    else:
        batch["decoder_segment_ids"] = put("decoder_target_tokens", lambda i, t: i + t)
        put("decoder_input_tokens", lambda i, t: [0, *(i + t)[:-1]])
        put("decoder_causal_attention", lambda i, t: [1] * (len(i) + 1) + [0] * (len(t) - 1))
    return batch


def targets_only(model, logits, groups, *, ahead):
    """The logits that predict targets, example by example."""
    found = []
    for row, group in zip(logits, groups, strict=True):
        first = 0
        for inputs, targets in group:
            first += 0 if model.encoder is not None else len(ahead) + len(inputs)
            found.append(row[first : first + len(targets)])
            first += len(targets)
    return np.concatenate(found)


def of_text(parameters):
    """The parameters with a prompt that is the vectors of PROMPT's tokens."""
    table = parameters["token_embedder"]["embedding"]
    return {**parameters, "prompt": {"embedding": table[list(PROMPT)]}}


@pytest.fixture(params=["encoder_decoder", "prefix_lm", "gpt2"])
def architecture(request):
    """One with an encoder, one without: the others put a prompt where these do. GPT-2's positions
    count the prompt in.
    """
    return request.param


@pytest.fixture
def prompted(architecture, model_of, parameters_of):
    """A model with a prompt, and parameters in which it is text."""
    model = model_of(architecture, prompt_length=LENGTH)
    return model, of_text(parameters_of(model))


@pytest.mark.parametrize("groups", [ALONE, TOGETHER], ids=["unpacked", "packed"])
def test_a_prompt_of_text_is_that_text(groups, prompted, parameters_of, logits_of):
    """Same logits as the plain model on rows of one example each whose inputs begin with the text;
    packed examples, each with the prompt, do not see each other. What stood there is not read.
    """
    model, parameters = prompted
    text = batch_of(model, ALONE, ahead=PROMPT)
    plain = logits_of(model.plain, parameters_of(model.plain), text)
    expected = targets_only(model, plain, ALONE, ahead=PROMPT)
    logits = logits_of(model, parameters, batch_of(model, groups, ahead=ROOM))
    found = targets_only(model, logits, groups, ahead=ROOM)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    other = logits_of(model, parameters, batch_of(model, groups, ahead=(0, 30, 2)))
    np.testing.assert_array_equal(targets_only(model, other, groups, ahead=ROOM), found)


@pytest.mark.parametrize("architecture", ["encoder_decoder", "lm", "gpt2"], indirect=True)
def test_decoding_with_a_cache_sees_what_was_added(
    architecture, model_of, parameters_of, logits_of, compiled
):
    """Prompt, adapters and LoRA: token by token the logits of the whole forward pass, rows of
    different lengths.
    """
    lora = LoraConfig(rank=2, targets=("key", "value"))
    model = model_of(architecture, prompt_length=LENGTH, adapter_dim=16, lora=lora)
    parameters = parameters_of(model)
    groups = [[(inputs, [3, 4])] for inputs, _ in EXAMPLES]
    logits = logits_of(model, parameters, batch_of(model, groups, ahead=ROOM))
    whole = targets_only(model, logits, groups, ahead=ROOM)
    read = "encoder_input" if model.encoder is not None else "decoder_prefix"
    prompts = rows([[*ROOM, *inputs] for inputs, _ in EXAMPLES], LENGTH + 6)
    segments = f"{read.removesuffix('_input')}_segment_ids"
    given = {f"{read}_tokens": prompts, segments: np.int32(prompts > 0)}
    first, cache = compiled(transformer.start, model, max_decode_length=2)(parameters, given)
    tokens = np.full(len(EXAMPLES), 3, np.int32)
    second, _ = compiled(transformer.advance, model)(parameters, tokens, cache)
    found = np.stack([first, second], axis=1).reshape(whole.shape)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("end", [1, 7])
def test_a_prompt_begins_as_vectors_of_different_tokens(model_of, parameters_of, end):
    """Of the most common pieces, none of the special ids, wherever they are."""
    model = model_of(prompt_length=20)
    parameters = jax.tree.map(jax.numpy.asarray, parameters_of(model))
    special = SpecialTokens(end=end)
    found = prompts.from_vocabulary(parameters, jax.random.key(0), special)
    table = np.asarray(parameters["token_embedder"]["embedding"])
    same = np.all(np.asarray(found["prompt"]["embedding"])[:, None] == table[None], axis=-1)
    assert (same.sum(axis=1) == 1).all()
    ids = same.argmax(axis=1)
    assert len(set(ids)) == 20
    assert not {0, 2, end} & set(ids.tolist())
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
    """It would take the place of the first tokens of each example."""
    job = job_of(["models/t5_1_0/tiny.gin"], None)
    with pytest.raises(ValueError, match=r"prompt_length=0 and model.prompt_length=5"):
        dataclasses.replace(job, model=dataclasses.replace(job.model, prompt_length=5))
    with pytest.raises(gin_config.ConfigError, match="PROMPT_LENGTH"):
        job_of(["models/t5_1_0/tiny.gin"], "prompt_tuning", "PROMPT_LENGTH=-1")
