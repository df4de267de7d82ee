"""A trained model in three lines of Python, in a program or a notebook; TensorFlow is not loaded.

import t5x_lite

model = t5x_lite.load("/runs/one")  # or a Hugging Face directory
model.generate(["translate English to German: That is good."])
"""

import dataclasses
import numbers
import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float32

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import StrategyConfig, strategy_of
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import POOLED, TOKENS
from t5x_lite.inference import restored
from t5x_lite.inference.config import Average
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.generate import Generated
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
from t5x_lite.inference.reading import Asked
from t5x_lite.inference.reports import SentinelWarning
from t5x_lite.inference.wishes import Wishes, numbers_of
from t5x_lite.model.choices import HeadKind, Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.text.masked_text import encode_masked
from t5x_lite.text.template import Framed
from t5x_lite.text.tokenizer import Tokenizer, inputs_ids, with_end

# What stands for a whole text, by what the engine calls it.
_POOLINGS = {"first": "encoder", "last": "encoder", "pooler": POOLED}

Path = str | os.PathLike[str]
Texts = Sequence[str]
Pairs = Sequence[tuple[str, str]]
Some = TypeVar("Some", bound=Texts | Pairs)


@dataclasses.dataclass(frozen=True)
class Filled:
    """A token in the place of a mask, and how likely it is there; `text` is it, decoded."""

    text: str
    probability: float
    id: int


@dataclasses.dataclass(frozen=True)
class Classified:
    """The likeliest label of a text, and the probabilities of all."""

    label: str
    probabilities: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Output:
    """A text that the model wrote. `log_prob` is the log-probability of its tokens under the model,
    `score` what outputs of one input are ordered by; `ended` is False where it was cut at
    max_decode_length.
    """

    text: str
    log_prob: float
    score: float
    ended: bool
    ids: tuple[int, ...]


def load(
    path: Path,
    *,
    model: ModelConfig | None = None,
    vocabulary: Path | None = None,
    num_partitions: int = 1,
    dtype: Literal["float32", "bfloat16"] | None = None,
    weights: Literal["int8"] | None = None,
    batch_size: int = 32,
    ensemble_paths: Sequence[Path] = (),
    ensemble: Literal["logits", "probabilities"] = "logits",
) -> "TextModel":
    """Reads a trained model onto all devices there are.

    Args:
        path: a checkpoint, a model directory (its newest checkpoint) or a Hugging Face directory.
        model: the checkpoint's own if not given; another one is refused.
        vocabulary: a SentencePiece model, a folder with one or "bytes"; the checkpoint's own if not
            given.
        num_partitions: devices that share each parameter; the others share the batch.
        dtype: of the parameters; None is what was stored.
        weights: "int8" rounds most of them, with a scale for each channel; None is what was stored.
        batch_size: rows that are run together, rounded up to what the devices divide.
        ensemble_paths: more checkpoints, which answer together with the first.
        ensemble: what they average at every token.

    Raises:
        FileNotFoundError: there is no checkpoint or no vocabulary.
        UserError: something does not fit; the message says what and how to fix it.
    """
    partitioner = make_partitioner(PartitioningConfig(num_partitions=num_partitions))
    found = restored.describe((path, *ensemble_paths), model, Average(ensemble))
    tokenizer = found.tokenizer(vocabulary)
    engine = found.engine(
        partitioner,
        first_sentinel=tokenizer.first_sentinel,
        dtype=dtype,
        weights=None if weights is None else Weights(weights),
    )
    return TextModel(engine, tokenizer, batch_size=batch_size)


class TextModel:
    """Texts in, texts, scores or vectors out, in the order given, however many and long.

    Texts are sorted by length and run in few shapes, so that calls do not compile again and again.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer, *, batch_size: int):
        self.engine, self.tokenizer = engine, tokenizer
        self._batch_size = batch_size

    def generate(
        self,
        inputs: Texts,
        *,
        strategy: StrategyConfig | str = "greedy",
        max_decode_length: int = 128,
        num_decodes: int = 1,
        min_decode_length: int = 0,
        no_repeat_ngram: int = 0,
        forbid_sentinels: bool = False,
        prefixes: Texts | None = None,
        lengths: Sequence[int] | None = None,
        temperature: float | int | Sequence[float] | None = None,
        **settings: float | int,
    ) -> list[str] | list[list[str]]:
        """The text that the model writes for each input; with `num_decodes` > 1 a list,
        best first. The arguments are those of `DecodingConfig`.

        Args:
            strategy: a row of `decoding.strategies`, or the name of one: "greedy", "sample",
                "beam", "exact", "conditional_beam"; "sundae" or "mask_predict" of a model that
                writes whole targets.
            prefixes: what the text of each input begins with ("": with anything).
            lengths: how many tokens the output of each input has, its end token counted in.
            temperature: of "sample": one for all inputs, or one for each.
            settings: others of the strategy that is named, such as `beam_size` and `alpha` of
                "beam", `top_k`, `top_p` and `seed` of "sample".

        Raises:
            UserError: the strategy has no such setting, or a value is out of bounds.
        """
        if not isinstance(strategy, StrategyConfig | str):
            raise UserError(
                f"strategy={strategy!r}: needed is a row of t5x_lite.decoding.strategies, or the "
                "name of one, such as 'beam'."
            )
        is_for_each = isinstance(temperature, Sequence | np.ndarray) and np.ndim(temperature) > 0
        temperatures = temperature if is_for_each else None
        if temperature is not None and not is_for_each:
            settings["temperature"] = temperature  # type: ignore[assignment]
        if isinstance(strategy, StrategyConfig) and settings:
            raise UserError(
                f"{', '.join(settings)} beside strategy={strategy}: needed are its settings in it, "
                "or its name."
            )
        own = strategy_of(strategy, **settings) if isinstance(strategy, str) else strategy
        decoding = DecodingConfig(
            strategy=own,
            max_decode_length=max_decode_length,
            num_decodes=num_decodes,
            min_decode_length=min_decode_length,
            no_repeat_ngram=no_repeat_ngram,
            forbid_sentinels=forbid_sentinels,
        )
        found = self.outputs(
            inputs,
            decoding,
            prefixes=prefixes,
            temperatures=temperatures,  # type: ignore[arg-type]
            lengths=lengths,
        )
        every = [[output.text for output in outputs] for outputs in found]
        return every if num_decodes > 1 else [texts[0] for texts in every]

    def outputs(
        self,
        inputs: Texts,
        decoding: DecodingConfig | None = None,
        *,
        prefixes: Texts | None = None,
        temperatures: Sequence[float] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[list[Output]]:
        """What `generate` gives, with scores, log-probabilities and ids; greedy if not told."""
        forced = None
        if prefixes is not None:
            forced = [self.tokenizer.encode(text) for text in _texts(prefixes, "prefixes")]
        wishes = Wishes(
            forced,
            numbers_of(temperatures, "temperature", numbers.Real),
            numbers_of(lengths, "lengths", numbers.Integral),
        )
        return self.outputs_of(inputs, decoding or DecodingConfig(), wishes)

    def outputs_of(
        self, inputs: Texts, decoding: DecodingConfig, wishes: Wishes
    ) -> list[list[Output]]:
        """The same, where outputs begin with ids."""
        generated = self.engine.generate(
            self._inputs(inputs), decoding, batch_size=self._batch_size, wishes=wishes
        )
        warning = SentinelWarning(self.engine.first_sentinel)
        warning.look_at(generated)
        warning.say("generate")
        return [self._outputs(each) for each in generated]

    def score(
        self, inputs: Texts, targets: Texts, *, hidden_states: HiddenStatesConfig | None = None
    ) -> list[float]:
        """The log-likelihood of each target (end token included), given its input.

        Args:
            hidden_states: how what the model remembers is optimised while it reads; texts may then
                be of any length.
        """
        found = self.score_tokens(inputs, targets, hidden_states=hidden_states)
        return [float(log_probs.sum()) for log_probs in found]

    def score_tokens(
        self, inputs: Texts, targets: Texts, *, hidden_states: HiddenStatesConfig | None = None
    ) -> list[Float32[np.ndarray, " _length"]]:
        """The log-probability of each token of each target, the end token last."""
        if len(_texts(inputs, "inputs")) != len(_texts(targets, "targets")):
            raise UserError(
                f"{len(inputs)} inputs and {len(targets)} targets: needed is a target for each."
            )
        return self.engine.score(
            self._inputs(inputs),
            with_end(self.tokenizer, targets),
            batch_size=self._batch_size,
            hidden_states=hidden_states,
        )

    def rank(
        self,
        inputs: Texts,
        options: Texts | Sequence[Texts],
        *,
        per_token: bool = False,
        hidden_states: HiddenStatesConfig | None = None,
    ) -> list[int]:
        """The place of the likeliest option for each input: rank classification.

        Args:
            options: the same for all inputs, or a list for each input.
            per_token: compares means over tokens, so that long options are not held back.
            hidden_states: as of `score`.
        """
        _texts(inputs, "inputs")
        if isinstance(options, str) or not options:
            raise UserError(f"options={options!r}: needed is a list of texts to choose from.")
        shared = all(isinstance(option, str) for option in options)
        lists: list[Texts] = [options] * len(inputs) if shared else list(options)  # type: ignore[list-item]
        if len(lists) != len(inputs) or not all(lists):
            raise UserError(
                f"{len(lists)} lists of options for {len(inputs)} inputs: needed is one that is "
                "not empty for each input, or one list of texts for all."
            )
        pairs = [(text, option) for text, own in zip(inputs, lists) for option in own]
        texts, targets = [text for text, _ in pairs], [option for _, option in pairs]
        scores = self.score_tokens(texts, targets, hidden_states=hidden_states)
        values = iter(np.mean(each) if per_token else np.sum(each) for each in scores)
        return [int(np.argmax([next(values) for _ in own])) for own in lists]

    def encode(
        self, inputs: Texts, *, pooling: Literal["mean", "first", "last", "pooler"] | None = "mean"
    ) -> Float32[np.ndarray, "inputs embed"] | list[Float32[np.ndarray, "_length embed"]]:
        """The last hidden states of the inputs, the encoder's or without one the decoder's: their
        mean over the tokens of each as a row of one array; without pooling one array per input, a
        row per token, T5's end token last. An encoder by itself has the tokens around a text as
        well, of which by the model the "first" or the "last" stands for all of it, or what the
        model's "pooler" makes of that.
        """
        if pooling not in (*_POOLINGS, "mean", None):
            known = ", ".join(map(repr, ("mean", *_POOLINGS)))
            raise UserError(f"pooling={pooling!r}: needed is {known} or None.")
        if pooling in _POOLINGS:
            framed = self._framed(inputs)
            is_last = pooling == "last"
            asked = [Asked(each, len(each.ids) - 1 if is_last else 0) for each in framed]
            vectors = self._tell(asked, _POOLINGS[pooling])
        else:
            ids, mean = self._inputs(inputs), pooling == "mean"
            vectors = self.engine.encode(ids, batch_size=self._batch_size, mean=mean)
            if not mean:
                return vectors
        width = self.engine.models.members[0].embed_dim
        return np.stack(vectors) if vectors else np.zeros((0, width), np.float32)

    def fill(self, text: str, k: int = 5) -> list[list[Filled]]:
        """For each mask of a text the `k` tokens that are likeliest in its place, best first; a
        mask is what the vocabulary calls it: `model.fill("Paris is the [MASK] of France.")`.

        Raises:
            UserError: the text has no mask, or the model or vocabulary knows none.
        """
        ids = encode_masked(self.tokenizer, text)
        framed = self.tokenizer.template.frame(self.tokenizer.special, ids)
        mask, count = self.tokenizer.special.mask, self.tokenizer.num_ids
        assert mask is not None, "without one the text was refused"
        places = [place for place, each in enumerate(framed.ids) if each == mask]
        if not places or not 1 <= k <= count:
            raise UserError(
                f"text={text!r}, k={k}: needed is a text with {self.tokenizer.name_of(mask)} where "
                f"a token is to be found, and from 1 to {count} tokens for each."
            )
        filled = []
        for logits in self._tell([Asked(framed, place, places) for place in places], TOKENS):
            probabilities = _softmax(logits[:count])  # ids behind those in use are no tokens
            best = np.argsort(-probabilities, kind="stable")[:k].tolist()
            filled.append(
                [Filled(self.tokenizer.decode([i]), float(probabilities[i]), i) for i in best]
            )
        return filled

    def classify(self, inputs: Texts | Pairs) -> list[Classified]:
        """The class of each text, or of each pair of texts, by the model's head of classes. Labels
        are the model's (`HeadConfig.labels`), or LABEL_0, LABEL_1 ... where it has none.

        Raises:
            UserError: the model has no such head, or is no encoder by itself.
        """
        asked = [Asked(each, 0) for each in self._framed(inputs)]
        told = self._tell(asked, HeadKind.CLASSES.value)
        head = self.engine.models.members[0].head(HeadKind.CLASSES)
        assert head is not None, "the engine refuses a head that there is not"
        every = [dict(zip(head.names, _softmax(logits).tolist(), strict=True)) for logits in told]
        return [Classified(max(each, key=each.__getitem__), each) for each in every]

    def _inputs(self, inputs: Texts) -> list[list[int]]:
        if self.engine.layout is Layout.ENCODER:
            return [each.ids for each in self._framed(_texts(inputs, "inputs"))]
        prompts = self.engine.models.members[0].prompts
        return inputs_ids(self.tokenizer, _texts(inputs, "inputs"), prompts)

    def _framed(self, inputs: Texts | Pairs) -> list[Framed]:
        """Ids of texts or pairs, with what an encoder reads around them."""
        framed = []
        for each in _texts(inputs, "inputs"):
            texts = (each,) if isinstance(each, str) else tuple(each)
            if len(texts) not in (1, 2):
                raise UserError(f"{each!r}: needed is a text, or a pair of texts.")
            ids = [self.tokenizer.encode(text) for text in texts]
            framed.append(self.tokenizer.template.frame(self.tokenizer.special, *ids))
        return framed

    def _tell(self, asked: Sequence[Asked], what: str) -> list[Float32[np.ndarray, " _outputs"]]:
        return self.engine.tell(asked, what, batch_size=self._batch_size)

    def _outputs(self, generated: Generated) -> list[Output]:
        outputs = []
        for decode in range(len(generated.tokens)):
            ids = generated.ids(decode)
            outputs.append(
                Output(
                    text=self.tokenizer.decode(ids),
                    log_prob=float(generated.log_probs[decode]),
                    score=float(generated.scores[decode]),
                    ended=generated.ended(decode),
                    ids=tuple(ids),
                )
            )
        return outputs


def _texts(texts: Some, name: str) -> Some:
    """A single string is a sequence of strings to Python: of its letters."""
    if isinstance(texts, str):
        raise UserError(f"{name}={texts!r}: needed is a list of texts: [{texts!r}].")
    return texts


def _softmax(logits: Float32[np.ndarray, " _outputs"]) -> Float32[np.ndarray, " _outputs"]:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
