"""Optimizers, learning-rate schedules and parameter groups as frozen values (no JAX)."""

import dataclasses
import difflib
import re

from t5x_lite.bounds import BELOW_ONE, FINITE, MAX_COUNT, POSITIVE, SHARE, check_bounds
from t5x_lite.errors import UserError

FACTORS = (
    "constant",
    "linear_warmup",
    "linear_decay",
    "rewound_decay",
    "rsqrt_decay",
    "rsqrt_normalized_decay",
    "decay_every",
    "cosine_decay",
    "triangular",
)
# Those that reach their last value at total_steps, and those that divide by the warm-up.
_ENDING = ("linear_decay", "rewound_decay", "cosine_decay", "triangular")
_WARMING = ("linear_warmup", "rsqrt_decay", "rsqrt_normalized_decay", "triangular")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A learning rate as a product of factors, in T5X's notation.

    Factors: constant, linear_warmup, linear_decay, rewound_decay, rsqrt_decay,
    rsqrt_normalized_decay, decay_every, cosine_decay, triangular. `constant * rsqrt_decay` with
    base 1.0 and 10,000 warm-up steps is T5's pre-training schedule 1 / sqrt(max(step, 10^4)).

    `warmup_steps` is a number of steps, or a share of `total_steps` between 0 and 1 (0.1 and not
    1). `linear_decay`, `rewound_decay`, `cosine_decay` and `triangular` end at `total_steps`.
    `rewound_decay` begins anew every `rewind_period` steps until `rewind_until`.
    """

    factors: str = "constant"
    base_learning_rate: float = 0.001
    warmup_steps: int | float = 10_000
    decay_factor: float = 0.5
    steps_per_decay: int = 20_000
    total_steps: int | None = None
    minimum_factor: float = 0.0
    rewind_period: int = 1000
    rewind_until: int | None = None

    def __post_init__(self) -> None:
        check_bounds(
            self,
            base_learning_rate=(0.0, FINITE),
            warmup_steps=(0, MAX_COUNT),
            decay_factor=(0.0, FINITE),
            steps_per_decay=(1, MAX_COUNT),
            total_steps=(1, MAX_COUNT),
            minimum_factor=SHARE,
            rewind_period=(1, MAX_COUNT),
            rewind_until=(0, MAX_COUNT),
        )
        self._check_names()
        self._check_steps()
        self._check_rewinding()

    def _check_names(self) -> None:
        for name in self.factor_names:
            if name not in FACTORS:
                nearest = difflib.get_close_matches(name, FACTORS, n=1)
                raise UserError(
                    f"factors={self.factors!r}: {name!r} is unknown"
                    f"{f'; did you mean {nearest[0]!r}?' if nearest else '.'} "
                    f"Known are {', '.join(FACTORS)}, joined by ' * '."
                )
            if name in _WARMING and self.warmup_steps == 0:
                raise UserError(
                    f"factors={self.factors!r}: {name!r} divides by warmup_steps="
                    f"{self.warmup_steps}: needed is at least 1: --gin.WARMUP_STEPS=..."
                )

    def _check_steps(self) -> None:
        is_share = isinstance(self.warmup_steps, float)
        if is_share and not 0 < self.warmup_steps < 1:
            raise UserError(
                f"warmup_steps={self.warmup_steps}: needed is a whole number of steps, or a share "
                "of total_steps between 0 and 1: --gin.WARMUP_STEPS=..."
            )
        ending = [name for name in self.factor_names if name in _ENDING]
        if not ending and not is_share:
            return
        if self.total_steps is None:
            needs = f"factors={self.factors!r} ends at" if ending else "its warm-up is a share of"
            raise UserError(
                f"{needs} total_steps=None: needed is the step at which the run ends, "
                f"above warmup_steps={self.warmup_steps}: --gin.TRAIN_STEPS=... where a gin file "
                "says ScheduleConfig.total_steps = %TRAIN_STEPS, as recipes/supervised.gin does "
                "(TRAIN_STEPS_RELATIVE is no such step), else --gin.ScheduleConfig.total_steps=..."
            )
        if ending and self.total_steps <= self.num_warmup_steps:
            raise UserError(
                f"factors={self.factors!r} ends at total_steps={self.total_steps}: needed is a "
                f"number above {self.num_warmup_steps}, the steps of warmup_steps="
                f"{self.warmup_steps}: lower --gin.WARMUP_STEPS=..., which may be a share such as "
                "0.05, or raise --gin.TRAIN_STEPS=..."
            )

    def _check_rewinding(self) -> None:
        if "rewound_decay" not in self.factor_names:
            return
        if self.rewind_until is None or not self.rewind_until < (self.total_steps or 0):
            raise UserError(
                f"factors={self.factors!r}: 'rewound_decay' has rewind_until={self.rewind_until} "
                f"and total_steps={self.total_steps}: needed is a step before the last, from which "
                "on it decays: --gin.PRUNING_END=... where compression/prune.gin is read, else "
                "--gin.ScheduleConfig.rewind_until=..."
            )

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The factors, one by one."""
        return tuple(name.strip() for name in self.factors.split("*"))

    @property
    def num_warmup_steps(self) -> int:
        """`warmup_steps`, at least one step where it is a share."""
        if isinstance(self.warmup_steps, int):
            return self.warmup_steps
        assert self.total_steps is not None, "__post_init__ has checked it"
        return max(1, round(self.warmup_steps * self.total_steps))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """What all optimizers have; each is a subclass with a row in `optim/table.py`.

    `weight_decay` is AdamW's, decoupled: a step takes learning rate * weight_decay of a parameter.
    """

    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdafactorConfig(OptimizerConfig):
    """Adafactor as T5 used it: Shazeer and Stern (2018), scaled by parameters, no momentum."""

    decay_rate: float = 0.8
    step_offset: int = 0
    clip_threshold: float = 1.0
    epsilon_gradient: float = 1e-30
    epsilon_parameter: float = 1e-3
    min_dim_size_to_factor: int = 128
    multiply_by_parameter_scale: bool = True

    def __post_init__(self) -> None:
        check_bounds(
            self,
            decay_rate=(0.0, FINITE),
            step_offset=(0, MAX_COUNT),
            clip_threshold=(POSITIVE, FINITE),
            epsilon_gradient=(0.0, FINITE),
            epsilon_parameter=(0.0, FINITE),
            min_dim_size_to_factor=(0, MAX_COUNT),
            weight_decay=(0.0, FINITE),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamWConfig(OptimizerConfig):
    """AdamW (Loshchilov and Hutter 2019)."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        check_bounds(
            self,
            beta_1=(0.0, BELOW_ONE),
            beta_2=(0.0, BELOW_ONE),
            epsilon=(POSITIVE, FINITE),
            weight_decay=(0.0, FINITE),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """What is different for some parameters; of several groups the first that matches wins.

    `pattern` is a regular expression for whole paths as the table at the start of a run shows them:
    `encoder/.*`, `.*/scale`. `layers=(first, last)`, both included and counted from 0, restricts it
    to these layers of a stack. `learning_rate` multiplies the schedule's, `weight_decay` replaces
    the optimizer's. Frozen parameters keep every bit; unless only some layers of a stack are
    frozen, they have no optimizer slots and cost no gradient. With `from_step` they keep every bit,
    and their slots too, until that step of the run, counted from its initial checkpoint.
    """

    pattern: str
    layers: tuple[int, int] | None = None
    learning_rate: float = 1.0
    weight_decay: float | None = None
    frozen: bool = False
    from_step: int = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise UserError(
                f"pattern={self.pattern!r} is no regular expression ({error}); needed is one for "
                "whole paths of parameters, such as 'encoder/.*'."
            ) from error
        if self.layers is not None and not 0 <= self.layers[0] <= self.layers[1]:
            raise UserError(
                f"layers={self.layers}: needed are the first and the last layer, counted from 0 "
                "and both included; (0, 2) are the first three."
            )
        check_bounds(
            self,
            learning_rate=(POSITIVE, FINITE),  # what shall not move is frozen
            weight_decay=(0.0, FINITE),
            from_step=(0, MAX_COUNT),
        )
        if self.frozen and (self.learning_rate != 1.0 or self.weight_decay or self.from_step):
            raise UserError(
                f"frozen=True with learning_rate={self.learning_rate}, weight_decay="
                f"{self.weight_decay} and from_step={self.from_step}: the group {self.pattern!r} "
                "would not move and move; leave out one."
            )
