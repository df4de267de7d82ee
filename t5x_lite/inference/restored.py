"""From paths to an engine: whatever the paths hold, they are described and read here alone."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
from etils import epath

from t5x_lite.checkpoints import pretrained
from t5x_lite.checkpoints.parameters import abstract_parameters
from t5x_lite.compression import ranges
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.features.config import check_special
from t5x_lite.inference.config import Average
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer
from t5x_lite.model.choices import Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.text.tokenizer import Tokenizer, load_tokenizer, named_tokenizer


@dataclasses.dataclass(frozen=True)
class Restored:
    """Described checkpoints of models that answer together; no parameter has been read."""

    found: tuple[pretrained.Pretrained, ...]
    models: Ensemble

    @property
    def model(self) -> ModelConfig:
        """The first member: what a single checkpoint is."""
        return self.models.members[0]

    @property
    def step(self) -> int:
        """Of the first member, which names the files that evaluation writes."""
        return self.found[0].step

    def tokenizer(self, vocabulary: epath.PathLike | None) -> Tokenizer:
        """The one given, else the first member's own.

        Raises:
            FileNotFoundError: there is none.
            UserError: it has more ids than the model, or other special ones.
        """
        folder = self.found[0].vocabulary
        if vocabulary is not None:
            tokenizer = named_tokenizer(vocabulary)
        else:
            tokenizer = load_tokenizer(self.found[0].path if folder is None else folder)
        if tokenizer.num_ids > self.model.vocab_size:
            raise UserError(
                f"the vocabulary ({vocabulary or folder}) has {tokenizer.num_ids} ids, the model's "
                f"vocab_size is {self.model.vocab_size}: it is not the one the model was made for."
            )
        check_special(self.model.special, tokenizer.special, vocabulary or folder)
        return tokenizer

    def engine(
        self,
        partitioner: Partitioner,
        *,
        first_sentinel: int | None,
        dtype: str | None = None,
        weights: Weights | None = None,
    ) -> Engine:
        """Reads the parameters onto the mesh.

        Args:
            dtype: of what is not int8; None is what was stored.
            weights: INT8 rounds them; None leaves them as they were stored.

        Raises:
            UserError: `weights` of a checkpoint whose weights are int8 already.
        """
        members, parameters = [], []
        for found, stored in zip(self.found, self.models.members, strict=True):
            _check_weights(found, weights)
            own, step = pretrained.load_parameters(found.path, stored, partitioner, dtype)
            say(f"{found.path}: step {step}, {transformer.num_parameters(stored):,} parameters")
            model = stored if weights is None else dataclasses.replace(stored, weights=weights)
            members.append(model)
            parameters.append(own if model == stored else _rounded(stored, own, partitioner, model))
        models = Ensemble(tuple(members), self.models.average)
        if len(parameters) > 1:
            say(f"ensemble of {len(parameters)}, mean of {models.average.value}")
        return Engine(models, parameters, partitioner, first_sentinel=first_sentinel)


def _check_weights(found: pretrained.Pretrained, weights: Weights | None) -> None:
    if weights is not None and found.model.weights is Weights.INT8:
        raise UserError(
            f"weights={weights.value!r}: those of {found.path} are int8 already, and are used as "
            "they are: leave it out."
        )


def _rounded(
    stored: ModelConfig, parameters: Any, partitioner: Partitioner, model: ModelConfig
) -> Any:
    """The parameters of `model`, whose weights are int8."""
    ranges.check_known(parameters)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_parameters(model, partitioner))
    make = jax.jit(lambda own: transformer.quantize(stored, own)[1], out_shardings=shardings)
    return make(parameters)


def describe(
    paths: Sequence[epath.PathLike], model: ModelConfig | None, average: Average = Average.LOGITS
) -> Restored:
    """Finds checkpoints and their models, `model` where it is given.

    Raises:
        ModelMismatchError: `model` is not what a path holds.
        FileNotFoundError, ValueError: a path is no checkpoint, or does not say its model.
    """
    found = tuple(pretrained.describe(path, model) for path in paths)
    return Restored(found, Ensemble(tuple(each.model for each in found), average))
