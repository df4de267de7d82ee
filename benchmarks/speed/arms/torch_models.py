"""How transformers is called for each family: what is read, what is predicted, what comes back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import transformers

from benchmarks.speed import families
from benchmarks.speed.settings import Settings


@dataclasses.dataclass(frozen=True)
class T5:
    """An encoder-decoder, with a head of its own."""

    model: transformers.T5ForConditionalGeneration

    @classmethod
    def load(cls, directory: Any, **how: Any) -> "T5":
        """Built in code, transformers 5 would tie the head to the embedding; that it does not where
        it reads both is asserted.
        """
        model = transformers.T5ForConditionalGeneration.from_pretrained(directory, **how)
        assert model.lm_head.weight is not model.shared.weight, "the head is tied to the embedding"
        return cls(model.eval())

    def loss(self, read: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """The mean over all tokens that are predicted."""
        return self.model(input_ids=read, labels=predicted, use_cache=False).loss

    def logits(self, read: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """[batch, predicted, vocab]; labels would have it compute the loss as well."""
        tokens = self.model.prepare_decoder_input_ids_from_labels(predicted)
        return self.model(input_ids=read, decoder_input_ids=tokens, use_cache=False).logits

    def written(self, found: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        """What `generate` gives without the start token."""
        return found[:, 1:]


@dataclasses.dataclass(frozen=True)
class GPT2:
    """A language model, whose head is the table of tokens."""

    model: transformers.GPT2LMHeadModel

    @classmethod
    def load(cls, directory: Any, **how: Any) -> "GPT2":
        """That the head is tied is asserted."""
        model = transformers.GPT2LMHeadModel.from_pretrained(directory, **how)
        assert model.lm_head.weight is model.transformer.wte.weight, "the head is not tied"
        return cls(model.eval())

    def loss(self, read: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """The mean over all tokens; the model's own shift would leave the first one out."""
        logits = self.logits(read, predicted)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), predicted.flatten())

    def logits(self, read: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """[batch, predicted, vocab], behind a start token; nothing else is read before."""
        start = torch.full_like(predicted[:, :1], self.model.config.bos_token_id)
        tokens = torch.cat([start, predicted[:, :-1]], dim=1)
        return self.model(input_ids=tokens, use_cache=False).logits

    def written(self, found: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        """What `generate` gives behind the prompt."""
        return found[:, prompt.shape[1] :]


_FAMILIES: Mapping[str, type[T5] | type[GPT2]] = {families.T5.name: T5, families.GPT2.name: GPT2}


def load(settings: Settings, *, attention: str) -> T5 | GPT2:
    """The model of the arms.

    Args:
        attention: as transformers computes it, "eager" or "sdpa".
    """
    return _FAMILIES[settings.family.name].load(settings.directory, attn_implementation=attention)
