"""INV-15, the packing part: SPEC B.9's own example, rows against SeqIO's and a greedy oracle."""

import hypothesis
import numpy as np
import pytest
import seqio
import tensorflow as tf
from hypothesis import strategies as st

from t5x_lite.data.converters import convert
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import LAYOUTS, Layout, ModelFeatures

T5 = SpecialTokens()
DECODERS = [layout for layout in Layout if layout is not Layout.ENCODER]
OWN_EXAMPLE = {"inputs": [11, 12, 1], "targets": [21, 1]}


def dataset_of(examples):
    return tf.data.Dataset.from_generator(
        lambda: iter([{k: np.asarray(v, np.int32) for k, v in e.items()} for e in examples]),
        output_signature={k: tf.TensorSpec([None], tf.int32) for k in examples[0]},
    )


def rows(examples, layout, lengths, *, pack=True, loss_on_targets_only=None, room=0, special=T5):
    converted = convert(
        dataset_of(examples),
        ModelFeatures(layout, special),
        lengths=lengths,
        rows=3,
        pack=pack,
        loss_on_targets_only=loss_on_targets_only,
        room=room,
    )
    batches = list(converted.as_numpy_iterator())
    return [
        {name: feature[i] for name, feature in batch.items()}
        for batch in batches
        for i in range(len(batch["decoder_target_tokens"]))
    ]


def greedy(examples, lengths):
    """Rows of examples: the next one joins if every feature still fits."""
    packed, room = [], None
    for example in examples:
        sizes = {k: len(example[k]) for k in lengths}
        if room is None or any(sizes[k] > room[k] for k in lengths):
            packed.append([])
            room = dict(lengths)
        packed[-1].append(example)
        room = {k: room[k] - sizes[k] for k in lengths}
    return packed


def test_the_specification_s_example_for_a_prefix_lm():
    """Inputs see each other and the position that predicts the first target; loss on targets."""
    (row,) = rows([OWN_EXAMPLE], Layout.PREFIX_LM, {"inputs": 4, "targets": 3}, pack=False)
    assert {k: v.tolist() for k, v in row.items()} == {
        "decoder_target_tokens": [11, 12, 1, 21, 1, 0, 0],
        "decoder_input_tokens": [0, 11, 12, 1, 21, 1, 0],
        "decoder_causal_attention": [1, 1, 1, 1, 0, 0, 0],
        "decoder_loss_weights": [0, 0, 0, 1, 1, 0, 0],
        "decoder_segment_ids": [1, 1, 1, 1, 1, 0, 0],
        "decoder_positions": [0, 1, 2, 3, 4, 5, 6],
    }


def test_the_specification_s_example_for_an_encoder_decoder():
    """The decoder reads its targets shifted right by a start id of 0."""
    (row,) = rows([OWN_EXAMPLE], Layout.ENCODER_DECODER, {"inputs": 4, "targets": 3}, pack=False)
    assert {k: v.tolist() for k, v in row.items()} == {
        "encoder_input_tokens": [11, 12, 1, 0],
        "decoder_target_tokens": [21, 1, 0],
        "decoder_input_tokens": [0, 21, 1],
        "decoder_loss_weights": [1, 1, 0],
        "encoder_segment_ids": [1, 1, 1, 0],
        "decoder_segment_ids": [1, 1, 0],
        "encoder_positions": [0, 1, 2, 3],
        "decoder_positions": [0, 1, 2],
    }


def test_an_lm_is_trained_on_inputs_and_targets():
    """The same tokens as the prefix LM, seen causally: so no prefix, and a loss on all of them."""
    (row,) = rows([OWN_EXAMPLE], Layout.LM, {"inputs": 4, "targets": 3}, pack=False)
    assert row["decoder_target_tokens"].tolist() == [11, 12, 1, 21, 1, 0, 0]
    assert row["decoder_loss_weights"].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert "decoder_causal_attention" not in row


@pytest.mark.parametrize(
    "layout, on_targets_only, weights",
    [
        (Layout.LM, True, [0, 0, 0, 1, 1, 0, 0]),
        (Layout.PREFIX_LM, False, [1, 1, 1, 1, 1, 0, 0]),
    ],
)
def test_where_the_loss_is_can_be_chosen(layout, on_targets_only, weights):
    """`loss_on_targets_only` overrules the layout's own choice."""
    (row,) = rows(
        [OWN_EXAMPLE],
        layout,
        {"inputs": 4, "targets": 3},
        pack=False,
        loss_on_targets_only=on_targets_only,
    )
    assert row["decoder_loss_weights"].tolist() == weights


SEQIO = {
    Layout.ENCODER_DECODER: seqio.EncDecFeatureConverter,
    Layout.LM: seqio.LMFeatureConverter,
    Layout.PREFIX_LM: seqio.PrefixLMFeatureConverter,
}


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize(
    "layout, features, on_targets_only",
    [
        (Layout.ENCODER_DECODER, ("inputs", "targets"), None),
        (Layout.LM, ("targets",), None),
        (Layout.LM, ("inputs", "targets"), False),
        (Layout.LM, ("inputs", "targets"), True),
        (Layout.PREFIX_LM, ("inputs", "targets"), True),
        (Layout.PREFIX_LM, ("inputs", "targets"), False),
    ],
)
def test_rows_are_those_of_seqio(layout, features, on_targets_only, pack):
    """The same names, values, types and order, for ids without a 0; unpacked rows have segment ids
    and positions besides. Some inputs are empty, some examples are as long as their feature.
    """
    generator, lengths = np.random.default_rng(0), {"inputs": 9, "targets": 7}
    lengths = {name: lengths[name] for name in features}
    examples = [
        {k: generator.integers(1, 99, generator.integers(k == "targets", n + 1)).tolist()
         for k, n in lengths.items()}
        for _ in range(40)
    ]  # fmt: skip
    converter, settings = SEQIO[layout], {}
    if layout is Layout.LM and "inputs" in features:
        converter = seqio.PrefixLMFeatureConverter
    if on_targets_only is not None:
        settings["loss_on_targets_only"] = on_targets_only
    converted = converter(pack=pack, **settings)(dataset_of(examples), lengths)
    expected = list(converted.as_numpy_iterator())
    found = rows(examples, layout, lengths, pack=pack, loss_on_targets_only=on_targets_only)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        if layout is Layout.LM:
            theirs.pop("decoder_causal_attention", None)
        if pack:
            assert ours.keys() == theirs.keys()
        for name, feature in theirs.items():
            assert ours[name].dtype == feature.dtype
            np.testing.assert_array_equal(ours[name], feature, err_msg=name)


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("layout", DECODERS)
def test_an_id_of_0_may_be_text(layout, pack):
    """Only segment ids say what is padding; as many places count as there are tokens."""
    examples = [{"inputs": [0, 5, 0], "targets": [0, 0]}, {"inputs": [0], "targets": [7, 0]}]
    found = rows(examples, layout, {"inputs": 5, "targets": 5}, pack=pack)
    assert len(found) == (1 if pack else 2)
    real, weights = (
        sum(row[name].astype(bool).sum() for row in found)
        for name in ("decoder_segment_ids", "decoder_loss_weights")
    )
    assert real == (4 if layout is Layout.ENCODER_DECODER else 8)
    assert weights == (8 if layout is Layout.LM else 4)
    if layout is Layout.ENCODER_DECODER:
        assert sum((row["encoder_segment_ids"] > 0).sum() for row in found) == 4


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("layout", list(Layout))
def test_the_table_knows_the_batch_before_any_is_read(layout, pack):
    """Names, lengths and types, with room for a prompt."""
    lengths = {"inputs": 7, "targets": 3}
    converted = convert(
        dataset_of([OWN_EXAMPLE]),
        ModelFeatures(layout),
        lengths=lengths,
        rows=4,
        pack=pack,
        loss_on_targets_only=None,
        room=2,
    )
    found = {
        name: (spec.shape[1], spec.dtype.name) for name, spec in converted.element_spec.items()
    }
    shapes = LAYOUTS[layout].shapes(4, lengths, room=2)
    dtypes = {each.name: each.dtype for each in LAYOUTS[layout].features}
    assert found == {name: (shape[1], dtypes[name]) for name, shape in shapes.items()}
    assert {shape[0] for shape in shapes.values()} == {4}


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
def test_special_tokens_are_the_model_s(pack):
    """Each example is read behind the start token; padding fills what is behind all of them."""
    examples = [{"inputs": [0, 50], "targets": [3, 50]}, {"inputs": [5], "targets": [50]}]
    special = SpecialTokens(padding=60, start=50, end=50, unknown=None)
    lengths = {"inputs": 5, "targets": 5}
    found = rows(examples, Layout.ENCODER_DECODER, lengths, pack=pack, special=special)
    read, written, shifted = (
        [[int(i) for i in row[name]] for row in found]
        for name in ("encoder_input_tokens", "decoder_target_tokens", "decoder_input_tokens")
    )
    if pack:
        assert read == [[0, 50, 5, 60, 60]] and written == [[3, 50, 50, 60, 60]]
        assert shifted[0][:3] == [50, 3, 50]
    else:
        assert read == [[0, 50, 60, 60, 60], [5, 60, 60, 60, 60]]
        assert written == [[3, 50, 60, 60, 60], [50, 60, 60, 60, 60]]
        assert [shifted[0][:2], shifted[1][:1]] == [[50, 3], [50]]


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
def test_empty_targets_count_nothing(pack):
    """A token of padding stands for them, as in SeqIO: the inputs are read, nothing is learned."""
    examples = [{"inputs": [8, 9], "targets": []}, {"inputs": [], "targets": []}]
    found = rows(examples, Layout.PREFIX_LM, {"inputs": 3, "targets": 3}, pack=pack)
    assert sum((row["decoder_segment_ids"] > 0).sum() for row in found) == 4
    assert not any(row["decoder_loss_weights"].any() for row in found)
    assert found[0]["decoder_causal_attention"].tolist()[:3] == [1, 1, 1]


@pytest.mark.parametrize(
    "spec", [tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, 2], tf.int32)]
)
def test_what_is_no_sequence_of_ids_is_refused(spec):
    """Numbers would be cut off, and tables packed as if they were one token each."""
    dataset = tf.data.Dataset.from_generator(lambda: iter([]), output_signature={"targets": spec})
    with pytest.raises(ValueError, match="targets is .*needed are ids"):
        convert(
            dataset,
            ModelFeatures(Layout.LM),
            lengths={"targets": 4},
            rows=1,
            pack=True,
            loss_on_targets_only=None,
        )


EXAMPLES = st.lists(
    st.tuples(st.lists(st.integers(2, 99), max_size=6), st.lists(st.integers(2, 99), max_size=4)),
    min_size=1,
    max_size=9,
)


@hypothesis.settings(deadline=None, max_examples=6)
@hypothesis.given(raw=EXAMPLES)
def test_encoder_decoder_rows_are_packed_greedily_in_order(raw):
    """Segments count from 1, positions restart at 0, decoder inputs restart at the start id."""
    examples = [{"inputs": [*a, 1], "targets": [*b, 1]} for a, b in raw]
    # SeqIO packs groups of as many examples as the longest feature has places: one group here.
    lengths = {"inputs": 9, "targets": 7}
    found = rows(examples, Layout.ENCODER_DECODER, lengths)
    expected = greedy(examples, lengths)
    assert len(found) == len(expected)
    for row, group in zip(found, expected):
        for side, feature in (("encoder", "inputs"), ("decoder", "targets")):
            size = lengths[feature]
            tokens = [t for e in group for t in e[feature]]
            segments = [i for i, e in enumerate(group, 1) for _ in e[feature]]
            positions = [p for e in group for p in range(len(e[feature]))]
            token_name = "encoder_input_tokens" if side == "encoder" else "decoder_target_tokens"
            assert row[token_name].tolist() == pad(tokens, size)
            assert row[f"{side}_segment_ids"].tolist() == pad(segments, size)
            assert row[f"{side}_positions"].tolist() == pad(positions, size)
        shifted = [t for e in group for t in [0, *e["targets"][:-1]]]
        real = row["decoder_target_tokens"] > 0
        assert row["decoder_input_tokens"][real].tolist() == shifted
        np.testing.assert_array_equal(row["decoder_loss_weights"], real)


@hypothesis.settings(deadline=None, max_examples=6)
@hypothesis.given(raw=EXAMPLES)
def test_prefix_lm_rows_are_packed_greedily_in_order(raw):
    """An example is its inputs and targets together; each segment has its own prefix."""
    examples = [{"inputs": [*a, 1], "targets": [*b, 1]} for a, b in raw]
    joined = [{"targets": e["inputs"] + e["targets"], "prefix": len(e["inputs"])} for e in examples]
    found = rows(examples, Layout.PREFIX_LM, {"inputs": 8, "targets": 6})
    expected = greedy(joined, {"targets": 14})
    assert len(found) == len(expected)
    for row, group in zip(found, expected):
        weights = [int(p >= e["prefix"]) for e in group for p in range(len(e["targets"]))]
        prefix = [int(p <= e["prefix"]) for e in group for p in range(len(e["targets"]))]
        tokens = [t for e in group for t in e["targets"]]
        assert row["decoder_target_tokens"].tolist() == pad(tokens, 14)
        assert row["decoder_loss_weights"].tolist() == pad(weights, 14)
        real = row["decoder_target_tokens"] > 0
        assert row["decoder_causal_attention"][real].tolist() == prefix


def pad(values, size):
    return values + [0] * (size - len(values))


@pytest.mark.parametrize("layout", DECODERS)
def test_unpacked_rows_have_the_same_room(layout):
    """The tokens and weights of an example that is alone in a packed row."""
    settings = {"lengths": {"inputs": 7, "targets": 3}, "room": 2}
    (packed,) = rows([OWN_EXAMPLE], layout, **settings)
    (unpacked,) = rows([OWN_EXAMPLE], layout, **settings, pack=False)
    assert packed.keys() == unpacked.keys()
    for name in packed:
        side = name.partition("_")[0]
        real = packed[f"{side}_segment_ids"] > 0
        assert packed[name].shape == unpacked[name].shape
        np.testing.assert_array_equal(packed[name][real], unpacked[name][real], err_msg=name)


@pytest.mark.parametrize("layout", DECODERS)
def test_room_for_a_prompt_is_made_in_front_of_every_packed_example(layout):
    """Rows are longer by it, no text is lost, and what stands there costs nothing."""
    examples = [{"inputs": [11, 12, 1], "targets": [21, 1]}, {"inputs": [13, 1], "targets": [1]}]
    lengths = {"inputs": 7, "targets": 3}
    plain = rows(examples, layout, lengths)
    found = rows(examples, layout, lengths, room=2)
    assert len(found) == 1
    row = {name: feature.tolist() for name, feature in found[0].items()}
    if layout is Layout.ENCODER_DECODER:
        assert row["encoder_input_tokens"] == [1, 1, 11, 12, 1, 1, 1, 13, 1]
        assert row["encoder_positions"] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
        assert row["decoder_loss_weights"] == plain[0]["decoder_loss_weights"].tolist()
        return
    assert row["decoder_input_tokens"] == [0, 1, 1, 11, 12, 1, 21, 0, 1, 1, 13, 1]
    assert row["decoder_target_tokens"] == [1, 1, 11, 12, 1, 21, 1, 1, 1, 13, 1, 1]
    weighed = [1] * 5 if layout is Layout.LM else [0, 0, 0, 1, 1]
    last = [1] * 3 if layout is Layout.LM else [0, 0, 1]
    assert row["decoder_loss_weights"] == [0, 0, *weighed, 0, 0, *last]
    if layout is Layout.PREFIX_LM:
        assert row["decoder_causal_attention"] == [1] * 6 + [0] + [1] * 5
