"""Tasks that need no data and no vocabulary file: bytes to bytes."""

import functools

import numpy as np
import seqio
import tensorflow as tf

WORDS = [f"{a}{b}{c}" for a in "abcdef" for b in "ghij" for c in "klmnop"]
VOCABULARY = seqio.ByteVocabulary()


def words(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    """Every fifth word is held out."""
    del shuffle_files, seed
    held_out = split != "train"
    chosen = [word for index, word in enumerate(WORDS) if (index % 5 == 0) == held_out]
    return tf.data.Dataset.from_tensor_slices({"text": chosen})


def words_to_train(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    """None is held out."""
    return words(split, shuffle_files, seed).take(-1 if split == "train" else 0)


def accuracy(targets: list[str], predictions: list[str]) -> dict[str, float]:
    """Exact matches in per cent."""
    hits = sum(
        target == prediction for target, prediction in zip(targets, predictions, strict=True)
    )
    return {"accuracy": 100 * hits / len(targets)}


def add(name: str, make_target, source=words) -> None:
    """Registers `name: word` -> make_target(word)."""
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(
            source, splits=("train", "validation"), num_input_examples={"train": 115}
        ),
        preprocessors=[
            lambda dataset: dataset.map(
                lambda example: {
                    "inputs": name + ": " + example["text"],
                    "targets": make_target(example["text"]),
                }
            ),
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos,
        ],
        output_features={
            "inputs": seqio.Feature(VOCABULARY),
            "targets": seqio.Feature(VOCABULARY),
        },
        metric_fns=[accuracy],
    )


def add_ids() -> None:
    """A task that keeps no strings, and whose postprocessor gives NumPy values."""
    seqio.TaskRegistry.add(
        "toy_ids",
        source=seqio.FunctionDataSource(words, splits=("train", "validation")),
        preprocessors=[
            lambda dataset: dataset.map(
                lambda example: {"inputs": example["text"], "targets": example["text"]}
            ),
            functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
            seqio.preprocessors.append_eos,
        ],
        postprocess_fn=lambda text, **unused: np.int64(len(text)),
        output_features={
            "inputs": seqio.Feature(VOCABULARY),
            "targets": seqio.Feature(VOCABULARY),
        },
        metric_fns=[accuracy],
    )


add_ids()
add("toy_copy", lambda word: word)
add("toy_double", lambda word: tf.strings.join([word, word]))
add(
    "toy_class",
    lambda word: tf.where(tf.strings.regex_full_match(word, "[abc].*"), "yes", "no"),
)
add("toy_train_only", lambda word: word, words_to_train)
seqio.MixtureRegistry.add("toy_both", [("toy_copy", 1.0), ("toy_double", 1.0)])
seqio.MixtureRegistry.add(
    "toy_some_held_out", [("toy_train_only", 1.0), ("toy_copy", 1.0), ("toy_double", 1.0)]
)
