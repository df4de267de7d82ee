"""Words of syllables, and each translated by itself: to inputs and targets of one length, in the
default vocabulary; and the same words as a text of which some are to be found.
"""

import numpy as np
import seqio
import tensorflow as tf

from t5x_lite.objectives import masked_table
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

HERE = "ka lo mi tu ren sor vel dax".split()
THERE = "ba no ri ku sen tor mel fax".split()


def pairs(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    """Two to five words."""
    del shuffle_files, seed
    rng = np.random.default_rng({"train": 0, "validation": 1}[split])
    found = []
    for _ in range(400 if split == "train" else 20):
        numbers = rng.integers(0, 8, rng.integers(2, 6))
        found.append([" ".join(words[n] for n in numbers) for words in (HERE, THERE)])
    inputs, targets = zip(*found, strict=True)
    return tf.data.Dataset.from_tensor_slices({"inputs": list(inputs), "targets": list(targets)})


def texts(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    """Both sides as sentences."""
    both = pairs(split, shuffle_files, seed)
    return both.map(lambda each: {"targets": each["inputs"] + " " + each["targets"] + "."})


def same_tokens(targets: list[str], predictions: list[str]) -> dict[str, float]:
    """The share of texts that are equal."""
    return {"same": float(np.mean([one == other for one, other in zip(targets, predictions)]))}


seqio.TaskRegistry.add(
    "toy_pairs",
    source=seqio.FunctionDataSource(pairs, splits=("train", "validation")),
    preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
    output_features={
        name: seqio.Feature(DefaultVocabulary(), add_eos=True) for name in ("inputs", "targets")
    },
    metric_fns=[same_tokens],
)
seqio.TaskRegistry.add(
    "toy_pairs_masked",
    source=seqio.FunctionDataSource(texts, splits=("train", "validation")),
    preprocessors=masked_table.preprocessors("masked_full_sentences"),
    output_features=masked_table.output_features("masked_full_sentences"),
)
