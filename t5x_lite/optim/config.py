"""Optimizers and learning-rate schedules as frozen values (no JAX)."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A learning rate as a product of factors, in T5X's notation.

    Factors: constant, linear_warmup, linear_decay, rsqrt_decay, rsqrt_normalized_decay,
    decay_every, cosine_decay, triangular. `constant * rsqrt_decay` with base 1.0 and 10,000 warm-up
    steps is T5's pre-training schedule 1 / sqrt(max(step, 10^4)).
    """

    factors: str = "constant"
    base_learning_rate: float = 0.001
    warmup_steps: int = 10_000
    decay_factor: float = 0.5
    steps_per_decay: int = 20_000
    total_steps: int | None = None
    minimum_factor: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdafactorConfig:
    """Adafactor as T5 used it: Shazeer and Stern (2018), scaled by parameters, no momentum."""

    decay_rate: float = 0.8
    step_offset: int = 0
    clip_threshold: float = 1.0
    epsilon_gradient: float = 1e-30
    epsilon_parameter: float = 1e-3
    min_dim_size_to_factor: int = 128
    multiply_by_parameter_scale: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """AdamW (Loshchilov and Hutter 2019)."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01
