"""How a decoder reads a long text window by window, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_COUNT, MAX_LAYERS, MAX_LENGTH, MAX_WIDTH, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.model.choices import AttentionForm, FirstMemory, Visibility
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.stack_config import StackConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrenceConfig:
    """A text is read in windows of `window` tokens, each with positions of its own (Yoshida et al.
    2020). The states behind layer `extract_layer` are averaged over a window, and a feed-forward
    network with `mlp_dim` hidden units makes `num_memories` keys and values of the mean, which
    every query of layer `insert_layer` sees in the next window, wherever it stands. Layers count
    from 0. A memory that is made below the layer that sees it tells of one window alone, others of
    all before. With `num_memories=0` windows know nothing of each other.

    `first` is what the first window of a text sees there. Gradients go back over `truncation`
    windows at most: at the beginning of each `truncation`-th window of a row they end.
    """

    window: int
    num_memories: int = 1
    extract_layer: int = 0
    insert_layer: int = 0
    mlp_dim: int = 128
    first: FirstMemory = FirstMemory.LEARNED
    truncation: int = 8

    def __post_init__(self) -> None:
        check_bounds(
            self,
            window=(1, MAX_LENGTH),
            num_memories=(0, MAX_LENGTH),
            extract_layer=(0, MAX_LAYERS - 1),
            insert_layer=(0, MAX_LAYERS - 1),
            mlp_dim=(1, MAX_WIDTH),
            truncation=(1, MAX_COUNT),
        )

    def num_windows(self, length: int) -> int:
        """In a text of so many tokens; the last may be shorter."""
        return max(1, -(-length // self.window))


def check(
    config: RecurrenceConfig,
    decoder: StackConfig | None,
    *,
    is_alone: bool,
    prompt_length: int,
    compute: ComputeConfig,
) -> None:
    """Refuses what no model could read so.

    Args:
        is_alone: whether the decoder reads no encoder.

    Raises:
        UserError: with what is needed.
    """
    if decoder is None or not is_alone or decoder.visibility is not Visibility.CAUSAL:
        given = "an encoder alone" if decoder is None else "an encoder-decoder"
        if decoder is not None and is_alone:
            given = f"a decoder of visibility {decoder.visibility.value!r}"
        raise UserError(
            f"recurrence in {given}: needed is a language model, a causal decoder alone, which "
            "reads every text from left to right: --gin_file=models/architectures/lm.gin or "
            "models/gpt2/..., or --gin.ModelConfig.recurrence=None"
        )
    for name in ("extract_layer", "insert_layer"):
        if (layer := getattr(config, name)) >= decoder.depth:
            raise UserError(
                f"{name}={layer} in a decoder of {decoder.depth} layers: needed is a layer from 0 "
                f"to {decoder.depth - 1}: --gin.{name.upper()}=..."
            )
    learned = decoder.max_length
    if learned is not None and config.window > learned:
        raise UserError(
            f"window={config.window} in a model that has learned {learned} positions: needed is a "
            f"window as long at most: --gin.RECURRENCE_WINDOW={learned}"
        )
    if prompt_length:
        raise UserError(
            f"prompt_length={prompt_length} with recurrence: only the first window would read the "
            "prompt; needed is one of the two: --gin.PROMPT_LENGTH=0 or "
            "--gin.ModelConfig.recurrence=None"
        )
    if config.num_memories and compute.attention not in (AttentionForm.AUTO, AttentionForm.DENSE):
        raise UserError(
            f"attention={compute.attention.value!r} with num_memories={config.num_memories}: "
            "needed is 'auto' or 'dense', the only form that sees a memory: "
            "--gin.ComputeConfig.attention='auto'"
        )
