"""Running text for a language model, documents of 1 to 30 words, in the default vocabulary."""

import numpy as np
import seqio
import tensorflow as tf

from t5x_lite.metrics.likelihood import bits_per_byte
from t5x_lite.objectives import documents, table
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

SYLLABLES = "ka lo mi tu ren sor vel dax".split()


def texts(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    """Words of syllables; each is followed by few others, so that there is something to learn."""
    del shuffle_files, seed
    rng = np.random.default_rng({"train": 0, "validation": 1}[split])
    found = []
    for _ in range(200 if split == "train" else 20):
        steps = np.cumsum(rng.integers(1, 4, rng.integers(1, 31)))
        found.append(" ".join(SYLLABLES[n % 8] + SYLLABLES[n // 8 % 8] for n in steps))
    return tf.data.Dataset.from_tensor_slices({"targets": found})


seqio.TaskRegistry.add(
    "toy_texts",
    source=seqio.FunctionDataSource(texts, splits=("train", "validation")),
    preprocessors=[documents.tokenize, table.preprocessor("full_lm")],
    output_features={"targets": seqio.Feature(DefaultVocabulary(), add_eos=False)},
)


@seqio.map_over_dataset
def behind_nothing(example):
    """What is scored stands behind inputs, here none."""
    return {"inputs": "", **example}


# Each document by itself, and scored as a whole.
seqio.TaskRegistry.add(
    "toy_documents",
    source=seqio.FunctionDataSource(texts, splits=("train", "validation")),
    preprocessors=[documents.tokenize, table.preprocessor("document_lm")],
    output_features={"targets": seqio.Feature(DefaultVocabulary(), add_eos=False)},
)
seqio.TaskRegistry.add(
    "toy_whole_documents",
    source=seqio.FunctionDataSource(texts, splits=("train", "validation")),
    preprocessors=[
        behind_nothing,
        seqio.preprocessors.tokenize,
        seqio.preprocessors.append_eos,
    ],
    output_features={
        "inputs": seqio.Feature(DefaultVocabulary(), add_eos=False),
        "targets": seqio.Feature(DefaultVocabulary(), add_eos=True),
    },
    metric_fns=[bits_per_byte],
)
