"""The names that T5's users know, and the real TFDS copy of C4 read under them."""

import numpy as np
import pytest
import seqio

from t5x_lite.objectives import table
from t5x_lite.tasks import c4
from t5x_lite.text import default_vocabulary


def test_every_objective_is_a_task_of_every_corpus():
    """Registered without a file, a vocabulary or a network; ul2 is a mixture of seven."""
    for corpus in ("c4_v220", "c4_v310", "c4_noclean_v220", "wikipedia_20190301_en_v003"):
        for objective in table.OBJECTIVES:
            task = seqio.TaskRegistry.get(f"{corpus}_{objective}")
            assert "train" in task.splits
            has_inputs = objective not in ("full_lm", "document_lm")
            assert ("inputs" in task.output_features) == has_inputs
        mixture = seqio.MixtureRegistry.get(f"{corpus}_ul2")
        assert [mixture.get_rate(task) for task in mixture.tasks] == [1.0] * 7
    for exponent in (29, 27, 25, 23):
        assert f"c4_v220_iid_denoising_tokens_2_{exponent}" in seqio.TaskRegistry.names()


@pytest.fixture
def tfds_copy(test_data_dir, monkeypatch):
    """The copy of C4 3.1.0 and T5's vocabulary, as --tfds_data_dir and VOCABULARY name them."""
    folder = str(test_data_dir / "c4" / "tfds")
    for source in c4.CORPORA.values():
        monkeypatch.setattr(source.tfds_dataset, "_data_dir_override", folder)
    monkeypatch.setattr(default_vocabulary, "_path", None)
    default_vocabulary.set_default_vocabulary(test_data_dir / "vocab" / "t5_sentencepiece.model")


@pytest.mark.test_data
def test_the_tfds_copy_of_c4_is_read(tfds_copy):
    """The real files through TFDS: 200 documents of validation, corrupted as T5 does."""
    task = seqio.TaskRegistry.get("c4_v310_span_corruption")
    assert task.source.num_input_examples("train") == 1000
    examples = task.get_dataset(
        {"inputs": 512, "targets": 114}, split="validation", shuffle=False, seed=0
    ).as_numpy_iterator()
    first = next(examples)
    text = task.output_features["inputs"].vocabulary.decode(first["inputs"].tolist())
    assert text.startswith("The woman who died ")
    lengths = np.array([[len(e["inputs"]), len(e["targets"])] for e in (first, *examples)])
    # Documents are joined 128 at a time, and the last segment of each 128 is shorter.
    assert len(lengths) > 100
    assert (lengths != [512, 114]).any(axis=1).sum() == 2


@pytest.mark.test_data
def test_a_corpus_that_is_not_there_is_not_built(tfds_copy):
    """C4 is terabytes: TFDS must not begin to download it because a task is read."""
    with pytest.raises(FileNotFoundError, match="no data set c4/en:2.2.0 in .*--tfds_data_dir"):
        c4.CORPORA["c4_v220"].get_dataset("train")
