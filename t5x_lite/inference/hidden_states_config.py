"""How cached states are optimised while a text is read (no JAX)."""

import dataclasses

from t5x_lite.bounds import BELOW_ONE, FINITE, MAX_LENGTH, POSITIVE, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.model.config import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiddenStatesConfig:
    """Hidden-state optimisation (Yoshida and Gimpel 2021): the states that a frozen language model
    remembers take a step of Adam on the loss of each chunk, once that is counted.

    `chunk` tokens are predicted at a time, behind at most `window` positions with them (None: as
    many as the model has learned). Where those are full the older half leaves. `step_size` 0 is
    plain evaluation.
    """

    step_size: float | int
    chunk: int = 16
    window: int | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_bounds(
            self,
            step_size=(0.0, FINITE),
            chunk=(1, MAX_LENGTH),
            window=(1, MAX_LENGTH),
            beta1=(0.0, BELOW_ONE),
            beta2=(0.0, BELOW_ONE),
            epsilon=(POSITIVE, FINITE),
        )
        if self.window is not None:
            self._check_holds_a_chunk(self.window)

    def window_of(self, model: ModelConfig) -> int:
        """Positions of a window of this model.

        Raises:
            UserError: the model does not read from left to right, has fewer positions, or as many
                as one likes where the window is not given.
        """
        if model.layout is not Layout.LM or model.prompt_length:
            given = f"a model of the layout {model.layout.value!r}"
            given += " with a learned prompt" if model.prompt_length else ""
            raise UserError(
                f"hidden states are optimised of {given}: needed is a language model, which reads "
                "a text from left to right (GPT-2, an LM of T5's); leave HiddenStatesConfig out."
            )
        if model.recurrence is not None:
            raise UserError(
                "hidden states are optimised of a model that reads in windows with a memory "
                "(recurrence): needed is one without; leave HiddenStatesConfig out."
            )
        most = model.top.max_length
        window = most if self.window is None else self.window
        if window is None:
            raise UserError(
                "window=None of a model whose positions are relative, so that it has no most of "
                "them: needed is a window, such as --gin.STATE_WINDOW=512, the length of the "
                "texts that it was trained on."
            )
        if most is not None and window > most:
            raise UserError(
                f"window={window}, and the model has learned {most} positions: needed is at most "
                f"--gin.STATE_WINDOW={most}."
            )
        self._check_holds_a_chunk(window)
        return window

    def kept(self, window: int) -> int:
        """Positions that stay when a window is full: whole chunks, half of it at most."""
        return window // 2 // self.chunk * self.chunk

    def _check_holds_a_chunk(self, window: int) -> None:
        if window < self.chunk:
            raise UserError(
                f"window={window} is smaller than chunk={self.chunk}: needed is a window of at "
                "least a chunk, better of several: --gin.STATE_WINDOW=... --gin.STATE_CHUNK=..."
            )
