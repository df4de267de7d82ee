"""The objectives of encoders, by what they make of text. [M] is a mask, apple a random piece:

| name                        | reads                       | chosen tokens            | class     |
|-----------------------------|-----------------------------|--------------------------|-----------|
| masked_full_sentences       | sentences, as many as fit   | 15 %, anew in each epoch | -         |
| masked_next_sentence        | two segments                | 15 %, 10 forms           | 1: random |
| masked_sentence_order       | two segments                | n-grams, 40 forms        | 1: swapped|
| masked_ngrams_next_sentence | two segments                | n-grams, 40 forms        | 1: random |
| masked_ngrams               | sentences, as many as fit   | n-grams, 40 forms        | -         |
| masked_for_detection, _r25  | sentences, as many as fit   | 15 or 25 % drawn         | -         |
| permuted                    | sentences, as many as fit   | n-grams, 1 in 6, no masks| -         |
| permuted_with_memory        | as many as fit in one half  | the same                 | -         |

They are those of Liu et al. (2019), Devlin et al. (2018), Lan et al. (2019), its two baselines and
Clark et al. (2020), whose chosen tokens are masks or stay: a generator puts others in their places.
Of the others 80 % are masks, 10 % random pieces, 10 % stay. The last two are of Yang et al. (2019):
all tokens stay, and an order says which of them see each other; the other half of a row is the text
before it. Their n-grams are of up to 5 words.

    seqio.TaskRegistry.add("my_task", preprocessors=masked_table.preprocessors("masked_ngrams"),
                           output_features=masked_table.output_features("masked_ngrams"))
"""

import difflib
import functools
from collections.abc import Callable

import seqio
import tensorflow as tf

from t5x_lite.bounds import MAX_LENGTH
from t5x_lite.errors import UserError
from t5x_lite.objectives import choices, framed, orders, sentences
from t5x_lite.objectives.masked import ORDER, MaskedObjective, Shares, apply
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

_RATE = 0.15
_MASK_OR_STAY = Shares(mask=0.85, random=0.0)
_STAY = Shares(mask=0.0, random=0.0)


def _for_detection(rate: float) -> MaskedObjective:
    return MaskedObjective(
        chunks=framed.full_sentences, choice=choices.drawn(rate), shares=_MASK_OR_STAY
    )


def _permuted(memory: float) -> MaskedObjective:
    return MaskedObjective(
        chunks=framed.full_sentences,
        choice=choices.ngrams(1 / 6, longest=5),
        shares=_STAY,
        order=orders.permuted(256),
        memory=memory,
    )


MASKED_OBJECTIVES = {
    "masked_full_sentences": MaskedObjective(
        chunks=framed.full_sentences, choice=choices.exactly(_RATE)
    ),
    "masked_next_sentence": MaskedObjective(
        chunks=framed.next_sentence, choice=choices.exactly(_RATE), copies=10, is_pair=True
    ),
    "masked_sentence_order": MaskedObjective(
        chunks=framed.sentence_order, choice=choices.ngrams(_RATE), copies=40, is_pair=True
    ),
    "masked_ngrams_next_sentence": MaskedObjective(
        chunks=framed.next_sentence, choice=choices.ngrams(_RATE), copies=40, is_pair=True
    ),
    "masked_ngrams": MaskedObjective(
        chunks=framed.full_sentences, choice=choices.ngrams(_RATE), copies=40
    ),
    "masked_for_detection": _for_detection(_RATE),
    "masked_for_detection_r25": _for_detection(0.25),
    "permuted": _permuted(memory=0.0),
    "permuted_with_memory": _permuted(memory=0.5),
}


def find(name: str) -> MaskedObjective:
    """The objective of that name.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    if name not in MASKED_OBJECTIVES:
        nearest = difflib.get_close_matches(name, MASKED_OBJECTIVES, n=3) or MASKED_OBJECTIVES
        raise UserError(
            f"No objective of an encoder is named {name!r}; did you mean {' or '.join(nearest)}?"
        )
    return MASKED_OBJECTIVES[name]


def preprocessors(name: str) -> list[Callable[..., tf.data.Dataset]]:
    """What a SeqIO task applies to {"targets": text}."""
    return [sentences.tokenize, functools.partial(apply, objective=find(name))]


def output_features(
    name: str, vocabulary: seqio.Vocabulary | None = None
) -> dict[str, seqio.Feature]:
    """The features that the objective makes, for a task; of a vocabulary, or the default one."""
    text = seqio.Feature(vocabulary or DefaultVocabulary(), add_eos=False)
    number = seqio.Feature(seqio.PassThroughVocabulary(2), add_eos=False)
    objective = find(name)
    aligned = {n: text if n in ("inputs", "targets") else number for n in objective.aligned}
    if objective.order is not None:  # ranks are as many as tokens
        ranks = seqio.PassThroughVocabulary(1 + MAX_LENGTH)
        aligned[ORDER] = seqio.Feature(ranks, add_eos=False)
    return aligned | ({"classes": number} if objective.is_pair else {})
