"""A trained model -> a checkpoint of it with the pieces of its vocabulary that a corpus uses.

What is claimed is shown: each text of the corpus is cut anew and has to have its pieces, and the
first inputs are answered by both models.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Int64

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.compression import vocabulary
from t5x_lite.compression.vocabulary import Rows, num_in_vocabulary
from t5x_lite.compression.vocabulary_config import TrimVocabularyConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.display.progress import say
from t5x_lite.display.terminal import aligned, shown_size
from t5x_lite.errors import UserError
from t5x_lite.exporting import folder, source
from t5x_lite.exporting.source import Source
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.text_model import TextModel
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.text.tokenizer import Tokenizer
from t5x_lite.text.trimming import characters, check_kind, trim

_BATCH_SIZE = 32
_ROWS = ("pieces", "rows of the embedding", "parameters", "of them in these rows", "bytes")
Counts = Int64[np.ndarray, " ids"]
Answers: TypeAlias = Sequence[Sequence[int]]


class Corpus(NamedTuple):
    """All texts that a model reads or writes, and of these those that it answers; each call reads
    them anew, one at a time.
    """

    texts: Callable[[], Iterator[str]]
    inputs: Callable[[], Iterator[str]]


class Smaller(NamedTuple):
    """A trimmed model with its own vocabulary, and of each of its rows the one that it was."""

    found: Source
    tokenizer: Tokenizer
    rows: Rows

    def before(self, ids: Sequence[int]) -> list[int]:
        """What these ids were."""
        return self.rows[list(ids)].tolist()


def trim_vocabulary(config: TrimVocabularyConfig, corpus: Corpus) -> None:
    """Reads the model and, twice, the corpus, and writes a directory with a checkpoint.

    Raises:
        UserError: the corpus has no text, the vocabulary cannot be trimmed, or `output` is not
            empty.
        FileNotFoundError, ValueError: `path` is no checkpoint, or it is damaged.
    """
    output = folder.new_folder(config.output)
    full = source.read(config.path, config.vocabulary)
    tokenizer = _tokenizer(full)
    check_kind(tokenizer)
    counts = _counts(tokenizer, corpus)
    answers = _answers(full, corpus, config.answers)
    smaller = _trimmed(full, tokenizer, _used(tokenizer, counts, answers, config), config)
    _check_texts(smaller, tokenizer, corpus, config)
    _say_answers(smaller, answers, corpus, num_ids=tokenizer.num_ids)
    with folder.whole(output) as partial:
        folder.write_checkpoint(partial, smaller.found, sparse=full.is_sparse)
    print(aligned(table(full, smaller.found), numbers_from=1))
    say(f"{config.output}: checkpoint of step {full.step}, {shown_size(folder.num_bytes(output))}")


def table(full: Source, smaller: Source) -> list[tuple[str, str, str]]:
    """Sizes of both, side by side."""
    rows = [("", "before", "after")]
    both = [(each.model, each, _tokenizer(each)) for each in (full, smaller)]
    columns = [
        (
            f"{tokenizer.num_ids:,}",
            f"{model.vocab_size:,}",
            f"{transformer.num_parameters(model):,}",
            f"{100 * num_in_vocabulary(model) / transformer.num_parameters(model):.1f} %",
            shown_size(own.num_bytes),
        )
        for model, own, tokenizer in both
    ]
    return rows + list(zip(_ROWS, *columns, strict=True))


def _tokenizer(found: Source) -> Tokenizer:
    if found.tokenizer is None:
        raise UserError("there is no vocabulary to trim: --vocabulary=PATH names the model's.")
    return found.tokenizer


def _counts(tokenizer: Tokenizer, corpus: Corpus) -> Counts:
    """How often the corpus has each id."""
    counts, num_texts = np.zeros(tokenizer.num_ids, np.int64), 0
    for text in corpus.texts():
        np.add.at(counts, tokenizer.encode(text), 1)
        num_texts += 1
    if not counts.any():
        raise UserError(
            f"{num_texts:,} texts without a single piece: needed is a corpus of what the model is "
            "to read and write, --data=FILES or --task=NAME."
        )
    different = np.count_nonzero(counts)
    say(f"corpus: {num_texts:,} texts, {counts.sum():,} pieces, {different:,} different")
    return counts


def _used(
    tokenizer: Tokenizer, counts: Counts, answers: Answers, config: TrimVocabularyConfig
) -> set[int]:
    used = set(np.flatnonzero(counts >= config.min_count).tolist())
    used |= {i for ids in answers for i in ids if i < tokenizer.num_ids}
    return used | (characters(tokenizer) if config.keep_characters else set())


def _trimmed(
    full: Source, tokenizer: Tokenizer, used: set[int], config: TrimVocabularyConfig
) -> Smaller:
    trimmed = trim(tokenizer, used)
    rows = vocabulary.rows_of(trimmed.ids, full.model, tokenizer.num_ids, config.multiple_of)
    model, parameters = vocabulary.trim(
        full.model, full.parameters, rows, trimmed.tokenizer.special
    )
    found = dataclasses.replace(
        full, model=model, parameters=parameters, tokenizer=trimmed.tokenizer
    )
    return Smaller(found, trimmed.tokenizer, rows)


def _check_texts(
    smaller: Smaller, tokenizer: Tokenizer, corpus: Corpus, config: TrimVocabularyConfig
) -> None:
    """Cuts each text again; only pieces that were too rare may make others of it."""
    num_texts, num_other = 0, 0
    for text in corpus.texts():
        is_same = smaller.before(smaller.tokenizer.encode(text)) == tokenizer.encode(text)
        if not is_same and config.min_count == 1:
            raise UserError(
                f"the trimmed vocabulary cuts {text[:80]!r} into other pieces, so it is not "
                "written: this kind of vocabulary has rules that are not known here."
            )
        num_texts, num_other = num_texts + 1, num_other + (not is_same)
    share = 100 * (num_texts - num_other) / num_texts
    say(f"cut into the same pieces: {num_texts - num_other:,} of {num_texts:,} texts ({share:g} %)")


def _answers(found: Source, corpus: Corpus, most: int) -> Answers:
    """Greedy answers to the first inputs; none of a model that writes nothing."""
    inputs = list(itertools.islice(corpus.inputs(), most))
    if found.model.decoder is None or not inputs:
        return []
    mesh = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    placed = place_parameters(found.parameters, abstract_parameters(found.model, mesh))
    tokenizer = _tokenizer(found)
    engine = Engine(
        Ensemble((found.model,)), [placed], mesh, first_sentinel=tokenizer.first_sentinel
    )
    length = found.task_feature_lengths.get("targets", DecodingConfig.max_decode_length)
    decoding = DecodingConfig(max_decode_length=length)
    outputs = TextModel(engine, tokenizer, batch_size=_BATCH_SIZE).outputs(inputs, decoding)
    return [each[0].ids for each in outputs]


def _say_answers(smaller: Smaller, answers: Answers, corpus: Corpus, *, num_ids: int) -> None:
    again = _answers(smaller.found, corpus, len(answers))
    same = sum(list(a) == smaller.before(b) for a, b in zip(answers, again, strict=True))
    strange = sum(any(i >= num_ids for i in ids) for ids in answers)
    what = "have ids behind all pieces, which a model writes that has learned little"
    if answers:
        say(
            f"answered with the same pieces: {same:,} of the first {len(answers):,} inputs"
            + (f"; the answers to {strange:,} {what}" if strange else "")
        )
