"""Objectives of encoders as tasks: what is hidden, what stays, and what the model is fed of it."""

import functools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.data import pipeline, unsaveable
from t5x_lite.data.config import DatasetConfig
from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.objectives import masked_table, sentences
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary

LENGTH = 64
WORDS = [f"{a}{b}" for a in "bcdfgh" for b in ("a", "e", "i", "o", "u", "ax", "ex", "ix")]
MASK = 4


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """48 words of one or two pieces, a full stop and BERT's special tokens."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
    pieces += [word for word in WORDS if len(word) == 2] + ["##x"]
    folder = tmp_path_factory.mktemp("words")
    special = SpecialTokens(padding=0, unknown=1, start=2, end=3, mask=MASK)
    made = WordPieceTokenizer({p: i for i, p in enumerate(pieces)}, special, WordRules())
    for name, content in made.files().items():
        (folder / name).write_bytes(content)
    return WordPieceVocabulary(folder)


def documents(count, number=0):
    generator = np.random.default_rng(number)
    return [
        " ".join(
            " ".join(generator.choice(WORDS, generator.integers(3, 12))) + "."
            for _ in range(generator.integers(2, 12))
        )
        for _ in range(count)
    ]


def lengths_of(features, length=LENGTH):
    return {name: 1 if name == "classes" else length for name in features}


@pytest.fixture(scope="module")
def examples(vocabulary):
    """(name, texts, seed) -> examples of the objective, as NumPy arrays."""

    def make(name, texts, seed=0, length=LENGTH):
        features = masked_table.output_features(name, vocabulary)
        dataset = tf.data.Dataset.from_tensor_slices({"targets": texts})
        with seqio.utils.map_seed_manager(seed):
            tokenize, apply = masked_table.preprocessors(name)
            made = tokenize(dataset, features)
            made = apply(made, lengths_of(features, length), features)
        return [*made.as_numpy_iterator()]

    return make


@pytest.fixture(scope="module")
def of_documents(examples):
    """name -> the objective's examples of 60 documents, made once."""
    return functools.cache(lambda name: examples(name, documents(60)))


@pytest.mark.parametrize("name", masked_table.MASKED_OBJECTIVES)
def test_features_are_aligned_and_fit(name, of_documents):
    """Special tokens stand and stay; what is not chosen is what it was."""
    objective = masked_table.find(name)
    found = of_documents(name)
    assert len(found) > 30
    for example in found:
        aligned = {name: example[name] for name in objective.aligned}
        assert {*map(len, aligned.values())} == {len(example["inputs"])} <= {*range(LENGTH + 1)}
        if objective.memory:  # what is in front of it is told elsewhere
            aligned = {name: each[example["order"] > 0] for name, each in aligned.items()}
        inputs, targets, chosen = (aligned[n] for n in ("inputs", "targets", "target_weights"))
        assert targets[0] == 2 and targets[-1] == 3 and MASK not in targets and 0 not in targets
        is_special = np.isin(targets, (2, 3))
        assert not chosen[is_special].any() and 1 <= chosen.sum()
        np.testing.assert_array_equal(inputs[chosen == 0], targets[chosen == 0])
        assert not np.isin(inputs[chosen == 1], (0, 1, 2, 3)).any(), "random pieces are text"
        types = aligned["token_types"]
        if objective.is_pair:
            (border,) = np.flatnonzero(targets[:-1] == 3)
            assert not types[: border + 1].any() and types[border + 1 :].all()
            assert example["classes"].shape == (1,) and example["classes"][0] in (0, 1)
        else:
            assert not types.any() and "classes" not in example


@pytest.mark.parametrize(
    ("name", "mask", "stay"),
    [("masked_full_sentences", 0.8, 0.1), ("masked_for_detection", 0.85, 0.15)],
)
def test_what_becomes_of_chosen_tokens(name, mask, stay, examples):
    """80/10/10, and 85/15 where a generator puts others in their places; within 3 s.e."""
    found = examples(name, documents(400))
    chosen = np.concatenate([e["target_weights"] for e in found]) == 1
    inputs = np.concatenate([e["inputs"] for e in found])[chosen]
    targets = np.concatenate([e["targets"] for e in found])[chosen]
    # One in 32 random pieces is the one that was there.
    stay += (1 - mask - stay) / 32
    for share, expected in (((inputs == MASK).mean(), mask), ((inputs == targets).mean(), stay)):
        assert abs(share - expected) < 3 * np.sqrt(expected * (1 - expected) / len(inputs))


def test_static_masks_have_so_many_forms_and_dynamic_ones_are_new(examples):
    """A form is what the document says and its number, in any epoch: here a document sixty times,
    in two epochs.
    """
    texts = documents(1) * 60
    for name, is_static in (("masked_next_sentence", True), ("masked_full_sentences", False)):
        first, second = (
            [each["inputs"].tobytes() for each in examples(name, texts, seed)] for seed in (0, 1)
        )
        if is_static:
            # Of 10 forms 60 draws leave one out with .02.
            assert set(first) == set(second) and len(set(first)) < len(first) / 3
            assert first != second
        else:
            assert len({*first, *second}) == len(first) + len(second)


@pytest.mark.parametrize("name", ["masked_ngrams", "permuted"])
def test_ngrams_hide_whole_words(name, of_documents, vocabulary):
    more = vocabulary.tokenizer.pieces["##x"]
    for example in of_documents(name):
        chosen, goes_on = example["target_weights"], example["targets"] == more
        assert (chosen[1:][goes_on[1:]] == chosen[:-1][goes_on[1:]]).all()


def test_lines_and_marks_end_sentences(vocabulary):
    """White space is no sentence, and nothing of the text is lost."""
    texts = ["ba. be?  ba\n\n be! \n", "", "ba.be 'ba.' be"]
    features = masked_table.output_features("masked_ngrams", vocabulary)
    dataset = tf.data.Dataset.from_tensor_slices({"targets": texts})
    found = [*sentences.tokenize(dataset, features).as_numpy_iterator()]
    for example, text in zip(found, texts, strict=True):
        assert example["targets"].tolist() == vocabulary.encode(text)
    assert [each["sentences"].tolist() for each in found] == [[2, 2, 1, 2], [], [3 + 4, 1]]


@pytest.fixture
def task(vocabulary):
    """A task of the objective that is called; it goes with the test."""
    names = []

    def add(name):
        texts = documents(40)
        seqio.TaskRegistry.add(
            f"test_{name}",
            source=seqio.FunctionDataSource(
                lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(
                    {"targets": texts}
                ),
                splits=["train"],
            ),
            preprocessors=masked_table.preprocessors(name),
            output_features=masked_table.output_features(name, vocabulary),
        )
        names.append(f"test_{name}")
        return names[-1]

    yield add
    for name in names:
        seqio.TaskRegistry.remove(name)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("masked_sentence_order", True),
        ("masked_full_sentences", True),
        ("permuted", True),
        ("permuted", False),
    ],
)
def test_a_model_is_fed_what_was_made(name, pack, task, vocabulary):
    """Packed and not: classes at first positions, weights where tokens are hidden."""
    features = ModelFeatures(Layout.ENCODER, vocabulary.tokenizer.special)
    lengths = lengths_of(masked_table.output_features(name, vocabulary))
    config = DatasetConfig(
        mixture_or_task_name=task(name), task_feature_lengths=lengths, batch_size=4, pack=pack
    )
    batches = pipeline.make_batches(config, features, num_epochs=1)
    batch = next(batches)
    hidden = batch["encoder_input_tokens"] == MASK
    assert hidden.any() == (name != "permuted")
    assert (batch["encoder_loss_weights"][hidden] == 1).all()
    if name == "permuted":
        np.testing.assert_array_equal(batch["encoder_order"] > 0, batch["encoder_segment_ids"] > 0)
    shown = batch["encoder_loss_weights"] == 0
    np.testing.assert_array_equal(
        batch["encoder_input_tokens"][shown], batch["encoder_target_tokens"][shown]
    )
    if "classes" in lengths:
        classes = batch["encoder_classes"]
        assert not classes[batch["encoder_positions"] > 0].any()


@pytest.mark.parametrize("name", ["masked_next_sentence", "permuted_with_memory"])
def test_the_position_of_such_data_can_be_saved(name, task, vocabulary, tmp_path):
    features = masked_table.output_features(name, vocabulary)
    made = seqio.TaskRegistry.get(task(name))

    def dataset():
        return made.get_dataset(lengths_of(features), "train", seed=3, num_epochs=2)

    whole = dataset()
    assert unsaveable.stateful_operation(whole) is None
    iterator = iter(whole)
    for _ in range(11):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "position"))
    restored = iter(dataset())  # made anew, as another process does
    tf.train.Checkpoint(iterator=restored).read(path)
    left, found = ([each["inputs"].numpy().tolist() for each in i] for i in (iterator, restored))
    assert found == left and len(left) > 20


def test_what_cannot_be_masked_is_refused(vocabulary):
    features = masked_table.output_features("masked_ngrams", vocabulary)
    dataset = tf.data.Dataset.from_tensor_slices({"targets": ["ba"]})
    apply = masked_table.preprocessors("masked_ngrams")[1]
    for lengths in (None, {"inputs": 4}, {"inputs": 64, "targets": 32}):
        with pytest.raises(UserError, match="needed is one length for all of them, at least 8"):
            apply(dataset, lengths, features)
    text = masked_table.output_features("masked_ngrams", seqio.ByteVocabulary())
    with pytest.raises(UserError, match="of which the vocabulary has none"):
        apply(dataset, lengths_of(text), text)
    with pytest.raises(UserError, match="'masked_ngram'; did you mean masked_ngrams or"):
        masked_table.find("masked_ngram")
