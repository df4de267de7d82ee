"""Whether a model tells what it is asked: by a strategy of decoding, or for a likelihood."""

from collections.abc import Sequence

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import ModelConfig


def check_writes(model: ModelConfig) -> None:
    """Refuses what only a decoder can do.

    Raises:
        UserError: with what an encoder can do.
    """
    if model.decoder is None:
        raise UserError(
            "the model is an encoder alone, so it writes no text and scores none: needed is a "
            "model with a decoder. An encoder encodes texts, and its heads tell of each token "
            "or of whole examples."
        )


def check_fits(model: ModelConfig, decoding: DecodingConfig) -> None:
    """Refuses a decoder that sees all of its positions where tokens are to be written one by one,
    and any other where whole targets are to be improved.

    Raises:
        UserError: with what fits.
    """
    _check_attribute(decoding, model)
    strategy, name = decoding.strategy, decoding.strategy.name
    if model.denoises != strategy.refines:
        if model.denoises:
            raise UserError(
                f"strategy={name!r} of a model whose decoder sees all of its positions, so it does "
                "not write token after token: needed is strategy='sundae' or 'mask_predict': "
                "--gin_file=decoding/sundae.gin"
            )
        raise UserError(
            f"strategy={name!r} of a model that writes token after token, or nothing: it is for a "
            "decoder that sees all of its positions (models/architectures/denoiser.gin); needed "
            "is another strategy: --gin_file=decoding/greedy.gin"
        )
    if strategy.reads_masks and model.special.mask is None:
        raise UserError(
            f"strategy={name!r} of a model that knows no mask: needed is the id of its "
            "vocabulary's, --gin.SpecialTokens.mask=..., with which it was trained "
            "(--gin.NOISE='mask'), or strategy='sundae'."
        )
    decoder = model.decoder
    longest = None if decoder is None or not model.denoises else decoder.max_length
    if strategy.reads_masks and longest is None:
        # Attention over equal values gives each position the same, whatever the distances are.
        raise UserError(
            f"strategy={name!r} of a decoder whose positions are relative: a target begins as "
            "masks, and by distances alone all of them are told alike. Needed is a decoder of "
            "learned positions (models/encoder_denoiser.gin), or strategy='sundae'."
        )
    if longest is not None and decoding.max_decode_length > longest:
        raise UserError(
            f"max_decode_length={decoding.max_decode_length}, and the decoder has learned "
            f"{longest} positions: needed are as many at most: --gin.MAX_DECODE_LENGTH={longest}"
        )


def _check_attribute(decoding: DecodingConfig, member: ModelConfig) -> None:
    asked, head = decoding.strategy.needed_head(), member.head(HeadKind.ATTRIBUTE)
    told = None if head is None else head.attribute
    if asked is not None and asked is not told:
        has = "has no head that tells an attribute" if told is None else f"tells {told.value!r}"
        raise UserError(
            f"attribute={asked.value!r} is asked for, and the model {has}: needed is one that has "
            "learned to tell it of its own samples (--gin_file=finetuning/attribute.gin "
            f"--gin.ATTRIBUTE={asked.value!r}), or 'not_empty' or 'anything'."
        )


def check_lengths_told(model: ModelConfig, lengths: Sequence[int] | None) -> None:
    """Refuses a denoiser without a head of the length where nobody says how long outputs are, and
    longer ones than it has learned to write.

    Raises:
        UserError: with the ways out.
    """
    if not model.denoises:
        return
    head, longest = model.head(HeadKind.LENGTH), max(lengths or (0,))
    if head is not None and longest > head.max_length:
        raise UserError(
            f"lengths: an output of {longest} tokens, and the model has learned targets of up to "
            f"{head.max_length}: needed is no more than that, or a model of longer targets "
            f"(--gin.MAX_TARGET_LENGTH={longest} in training)."
        )
    if head is None and lengths is None:
        raise UserError(
            "the model has no head that tells how long a target is: needed are `lengths` of the "
            "outputs, or a model with such a head (--gin_file=models/architectures/denoiser.gin)."
        )


def check_scores(model: ModelConfig) -> None:
    """Refuses a model that knows how likely a token is where all others are given, and no target.

    Raises:
        UserError: with what is needed.
    """
    if model.denoises:
        raise UserError(
            "the model's decoder sees all of its positions, so it tells no likelihood of a "
            "target: needed is a model that writes token after token."
        )
