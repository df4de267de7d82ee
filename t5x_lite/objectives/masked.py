"""An objective of an encoder: tokens are hidden behind masks and are to be found again, and a class
may tell how two segments belong together. Or nothing is hidden, and an order says who sees whom.

    inputs          [CLS] the cat [MASK] on a [SEP] it was dog [SEP]
    token_types       0    0   0    0    0  0   0    1  1   1    1
    targets         [CLS] the cat  sat   on a [SEP] it was red [SEP]
    target_weights    0    0   0    1    0  0   0    0  0   1    0
    classes           0

As in `objective`, all of a group of documents are treated at once, by stateless randomness.
"""

import dataclasses
from collections.abc import Collection, Mapping

import seqio
import tensorflow as tf

from t5x_lite.errors import UserError
from t5x_lite.objectives import framed, keys, segments
from t5x_lite.objectives.choices import Choice, Texts
from t5x_lite.objectives.framed import MakeChunks, Sentences
from t5x_lite.objectives.orders import Order
from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.seqio_vocabulary import resolve

_COPY, _WHAT, _RANDOM = range(200, 203)
ALIGNED = ("inputs", "token_types", "targets", "target_weights")
ORDER = "order"
_SHORTEST = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shares:
    """What becomes of chosen tokens: a mask, a random piece of text; the rest of them stay."""

    mask: float = 0.8
    random: float = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedObjective:
    """Sentences -> what an encoder reads, what is hidden of it, and what stands in its place.

    With `copies` a document has that many forms, a function of what it says, and each epoch has one
    of them (static masks); without, each epoch draws anew (dynamic masks). With a `memory` so large
    a share of the places is of what stands before in the text: of rank 0 in the order, and nothing
    of it is predicted.
    """

    chunks: MakeChunks
    choice: Choice
    shares: Shares = Shares()
    copies: int | None = None
    is_pair: bool = False
    order: Order | None = None
    memory: float = 0.0

    @property
    def aligned(self) -> tuple[str, ...]:
        """The features that have a value for each token."""
        return ALIGNED if self.order is None else (*ALIGNED, ORDER)


def apply(
    dataset: tf.data.Dataset,
    sequence_length: Mapping[str, int] | None,
    output_features: Mapping[str, seqio.Feature],
    *,
    objective: MaskedObjective,
) -> tf.data.Dataset:
    """Preprocessor: documents of `sentences.tokenize` to the features above; classes of pairs only,
    and ranks where the objective has an order.

    Raises:
        UserError: the lengths leave no room, or the vocabulary has no mask.
    """
    vocabulary = _encoders(output_features["inputs"].vocabulary)
    tokenizer, length = vocabulary.tokenizer, _length(sequence_length, objective.aligned)
    special = tokenizer.special
    parts = tokenizer.template.parts(is_pair=objective.is_pair)
    around = {"start": special.start, "end": special.end}
    memory = int(objective.memory * length)
    capacity = length - memory - tokenizer.template.num_tokens(is_pair=objective.is_pair)
    kinds = _Kinds.of(vocabulary)

    @seqio.map_over_dataset(num_seeds=1)
    @tf.autograph.experimental.do_not_convert  # there is no Python control flow to convert
    def masked(
        group: Mapping[str, tf.RaggedTensor], seed: tuple[tf.Tensor, tf.Tensor]
    ) -> dict[str, tf.Tensor | tf.RaggedTensor]:
        documents, lengths = group["targets"], group["sentences"]
        drawn = keys.of_seed(tf.stack(seed), documents.nrows())
        if objective.copies is not None:
            copy = keys.below(objective.copies, drawn, _COPY)
            drawn = keys.derived(keys.of_tokens(documents), copy)
        rows = segments.ragged(documents.flat_values, tf.cast(lengths.flat_values, tf.int64))
        found = Sentences(rows, lengths.value_rowids())
        chunks = objective.chunks(found, drawn, capacity, special.end)
        ids, types = framed.frame(parts, around, chunks)
        is_text = tf.gather(kinds.is_text, ids.flat_values)
        begins = tf.gather(kinds.begins_word, ids.flat_values)
        texts = Texts(ids, is_text, begins, chunks.keys)
        chosen = objective.choice(texts, length)
        made = {
            "inputs": _replaced(texts, chosen, objective.shares, kinds),
            "token_types": types,
            "targets": ids,
            "target_weights": ids.with_flat_values(tf.cast(chosen, tf.int32)),
        }
        if objective.order is not None:
            made[ORDER] = ids.with_flat_values(objective.order(texts, chosen))
        if memory:
            made = _behind(framed.before(chunks.first, memory), made)
        return made if chunks.classes is None else made | {"classes": chunks.classes[:, None]}

    documents = dataset.map(
        lambda example: {name: example[name] for name in ("targets", "sentences")},
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return masked(segments.batches(documents, segments.DOCUMENTS_AT_ONCE)).unbatch()


@dataclasses.dataclass(frozen=True)
class _Kinds:
    """Of each id whether it is text and begins a word; the ids that are text, and the mask's."""

    is_text: tf.Tensor
    begins_word: tf.Tensor
    texts: tf.Tensor
    mask: int

    @classmethod
    def of(cls, vocabulary: FolderVocabulary) -> "_Kinds":
        """All of a vocabulary's."""
        tokenizer = vocabulary.tokenizer
        special = tokenizer.special
        assert special.mask is not None, "_encoders has looked"
        none = {special.padding, special.start, special.end, special.mask}
        is_text = [i not in none for i in range(tokenizer.num_ids)]
        return cls(
            is_text=tf.constant(is_text),
            begins_word=tf.constant([vocabulary.begins_word(i) for i in range(tokenizer.num_ids)]),
            texts=tf.constant(
                [i for i, text in enumerate(is_text) if text and i != special.unknown], tf.int32
            ),
            mask=special.mask,
        )


def _replaced(texts: Texts, chosen: tf.Tensor, shares: Shares, kinds: _Kinds) -> tf.RaggedTensor:
    """The tokens with what stands in the place of those that are chosen."""
    each = keys.of_places(texts.ids, texts.keys)
    what, ids = keys.uniform(each, _WHAT), texts.ids.flat_values
    number = keys.below(tf.size(kinds.texts), each, _RANDOM)
    is_mask = chosen & (what < shares.mask)
    is_random = chosen & ~is_mask & (what < shares.mask + shares.random)
    replaced = tf.where(is_random, tf.gather(kinds.texts, number), ids)
    return texts.ids.with_flat_values(tf.where(is_mask, kinds.mask, replaced))


def _behind(
    memory: tf.RaggedTensor, made: Mapping[str, tf.RaggedTensor]
) -> dict[str, tf.RaggedTensor]:
    """The features with those of a memory in front: its tokens, and 0 of all else."""
    zeros = tf.zeros_like(memory)
    fronts = {name: memory if name in ("inputs", "targets") else zeros for name in made}
    return {name: tf.concat([fronts[name], rows], axis=1) for name, rows in made.items()}


def _encoders(vocabulary: seqio.Vocabulary) -> FolderVocabulary:
    resolved = resolve(vocabulary)
    if not isinstance(resolved, FolderVocabulary) or resolved.tokenizer.special.mask is None:
        raise UserError(
            "the objective hides tokens behind masks, of which the vocabulary has none: needed is "
            "an encoder's, such as `t5x_lite vocab --kind=wordpiece` makes: --gin.VOCABULARY=..."
        )
    return resolved


def _length(lengths: Mapping[str, int] | None, aligned: Collection[str]) -> int:
    """Of what is read at once."""
    given = {name: length for name, length in (lengths or {}).items() if name in aligned}
    if "inputs" not in given or min(given.values()) < _SHORTEST or len({*given.values()}) > 1:
        raise UserError(
            f"The objective makes inputs, and what is aligned with them, of task feature lengths "
            f"{given}: needed is one length for all of them, at least {_SHORTEST}: "
            "--gin.TASK_FEATURE_LENGTHS=..."
        )
    return given["inputs"]
