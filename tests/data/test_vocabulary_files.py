"""A task's vocabulary survives as files, or is said not to."""

import numpy as np
import pytest
import seqio
from etils import epath

from t5x_lite.data.vocabulary_files import first_sentinel, vocabulary_files
from t5x_lite.text import default_vocabulary
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary
from t5x_lite.text.tokenizer import load_tokenizer
from t5x_lite.text.training import train_sentencepiece

TEXT = "a cat <extra_id_1> a mat"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "tiny.model"
    lines = [f"a cat {'ab' * n} on the mat {n}" for n in range(50)]
    train_sentencepiece({"words": lines}, path, vocab_size=34, report_progress=lambda _: None)
    return path


def register(name, **vocabularies):
    source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=("train",))
    features = {key: seqio.Feature(vocabulary) for key, vocabulary in vocabularies.items()}
    seqio.TaskRegistry.add(name, source=source, preprocessors=[], output_features=features)
    return name


@pytest.fixture
def task():
    """The features' vocabularies -> the name of a task that lives as long as the test."""
    names: list[str] = []

    def make(**vocabularies):
        names.append(register(f"vocabulary_files_{len(names)}", **vocabularies))
        return names[-1]

    yield make
    for name in names:
        seqio.TaskRegistry.remove(name)


def loaded(files, folder):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return load_tokenizer(folder)


@pytest.mark.parametrize("kind", ["default", "sentencepiece", "bytes", "bpe"])
def test_the_files_are_the_vocabulary(kind, task, model, bpe_folder, tmp_path, monkeypatch):
    """Ids, number of ids and sentinels."""
    monkeypatch.setattr(default_vocabulary, "_path", epath.Path(model))
    vocabulary = {
        "default": DefaultVocabulary,
        "sentencepiece": lambda: seqio.SentencePieceVocabulary(str(model), extra_ids=20),
        "bytes": lambda: seqio.ByteVocabulary(extra_ids=9),
        "bpe": lambda: BytePairVocabulary(bpe_folder),
    }[kind]()
    name = task(inputs=vocabulary, targets=vocabulary)
    tokenizer = loaded(vocabulary_files(name), tmp_path)
    assert tokenizer.num_ids == vocabulary.vocab_size
    assert tokenizer.first_sentinel == first_sentinel(name)
    np.testing.assert_array_equal(tokenizer.encode(TEXT), vocabulary.encode(TEXT))


def test_what_the_files_cannot_say_they_do_not_claim(task, model):
    """Sentinels in another order, two vocabularies, no text at all."""
    ordered = seqio.SentencePieceVocabulary(str(model), extra_ids=20, reverse_extra_ids=False)
    plain = seqio.SentencePieceVocabulary(str(model), extra_ids=20)
    assert vocabulary_files(task(targets=ordered)) == {}
    assert vocabulary_files(task(inputs=plain, targets=seqio.ByteVocabulary())) == {}
    nothing = task(targets=seqio.PassThroughVocabulary(10))
    assert vocabulary_files(nothing) == {} and first_sentinel(nothing) is None
    assert vocabulary_files(task(targets=plain)) != {}
