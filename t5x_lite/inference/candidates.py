"""Which words may stand in the place of a word, by a model with a head of masked tokens (Jiao et
al. 2020, algorithm 1): of a word that is one piece those that the model finds likeliest there, the
text itself as a second one behind the text with the mask; of others those whose vectors are near.
"""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from t5x_lite.compression.augmentation import Word
from t5x_lite.errors import UserError
from t5x_lite.features.outputs import TOKENS
from t5x_lite.inference.reading import Asked
from t5x_lite.inference.text_model import TextModel
from t5x_lite.model.choices import HeadKind

_BATCH = 64


class Candidates:
    """Those of a model, as many for each word as are asked for, or fewer: whole words of letters
    alone, and never the word itself.

    Raises:
        UserError: the model or its vocabulary knows no mask.
    """

    def __init__(self, model: TextModel, count: int):
        self._model, self._count = model, count
        self._tokenizer = model.tokenizer
        (own, *_) = model.engine.models.members
        knows = {
            "head of tokens": own.decoder is None and own.head(HeadKind.TOKENS) is not None,
            "mask in its vocabulary": self._tokenizer.special.mask is not None,
        }
        if lacking := [part for part, is_there in knows.items() if not is_there]:
            raise UserError(
                f"the model has no {' and no '.join(lacking)}: needed is an encoder alone that was "
                "pre-trained to find masked tokens, such as BERT before it is fine-tuned."
            )

    def of_texts(
        self, texts: Sequence[str], words: Sequence[Sequence[Word]]
    ) -> list[list[list[str]]]:
        """For each word of each text."""
        places = [(text, word) for text, own in zip(texts, words, strict=True) for word in own]
        single = [place for place in places if self._piece(place[1].text) is not None]
        asked = [self._asked(*place) for place in single]
        logits = self._model.engine.tell(asked, TOKENS, batch_size=_BATCH)
        told = {
            place: self._likeliest(place[1].text, own)
            for place, own in zip(single, logits, strict=True)
        }
        return [
            [told[text, word] if (text, word) in told else self._near(word.text) for word in own]
            for text, own in zip(texts, words, strict=True)
        ]

    def _asked(self, text: str, word: Word) -> Asked:
        special, encode = self._tokenizer.special, self._tokenizer.encode
        assert special.mask is not None, "a vocabulary without one is refused"
        before = encode(text[: word.start].rstrip())
        masked = [*before, special.mask, *encode(text[word.end :])]
        frame = functools.partial(self._tokenizer.template.frame, special, masked)
        framed = frame(encode(text))
        longest = self._model.engine.models.members[0].top.max_length
        if longest is not None and len(framed.ids) > longest:
            framed = frame()
        place = framed.ids.index(special.mask)
        return Asked(framed, place, [place])

    def _likeliest(self, word: str, logits: Float32[np.ndarray, " vocab"]) -> list[str]:
        best = np.argsort(-logits[: self._tokenizer.num_ids], kind="stable")
        return self._words(word, best[: self._count].tolist())

    def _near(self, word: str) -> list[str]:
        ids, vectors = self._whole
        own = self._table[self._tokenizer.encode(f" {word}")].mean(axis=0)
        nearness = vectors @ own
        return self._words(word, ids[np.argsort(-nearness, kind="stable")[: self._count]].tolist())

    def _words(self, word: str, ids: Sequence[int]) -> list[str]:
        """Of tokens those that are words by themselves and not this one."""
        texts = [(i, self._tokenizer.decode([i]).strip()) for i in ids]
        return [
            text
            for i, text in texts
            if text.isalpha() and text.lower() != word.lower() and self._piece(text) == i
        ]

    def _piece(self, word: str) -> int | None:
        """The one piece that a word is, if it is one and known."""
        ids = self._tokenizer.encode(f" {word}")
        return ids[0] if len(ids) == 1 and ids[0] != self._tokenizer.special.unknown else None

    @functools.cached_property
    def _table(self) -> Float32[np.ndarray, "vocab embed"]:
        """Vectors of tokens, each of length 1."""
        (parameters, *_) = self._model.engine.parameters
        table = np.asarray(parameters["token_embedder"]["embedding"], np.float32)
        return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-6)

    @functools.cached_property
    def _whole(self) -> tuple[np.ndarray, Float32[np.ndarray, "words embed"]]:
        """The ids of whole words, and their vectors."""
        texts = [self._tokenizer.decode([i]).strip() for i in range(self._tokenizer.num_ids)]
        ids = np.asarray(
            [i for i, text in enumerate(texts) if text.isalpha() and self._piece(text) == i]
        )
        return ids, self._table[ids]
