"""Learning rates as products of named factors.

| factor                 | value at step n, warm-up w, total T, minimum m                     |
|------------------------|--------------------------------------------------------------------|
| constant               | base_learning_rate                                                 |
| linear_warmup          | min(1, n / w)                                                      |
| linear_decay           | 1 until w, then a line that reaches m at T                         |
| rewound_decay          | 1 - (n mod p) / (T - u) until u, then a line from 1 to m at T      |
| rsqrt_decay            | 1 / sqrt(max(n, w))                                                |
| rsqrt_normalized_decay | sqrt(w / max(n, w))                                                |
| decay_every            | decay_factor to the power of n // steps_per_decay                  |
| cosine_decay           | 1 until w, then half a cosine that reaches m at T                  |
| triangular             | a line from 0 at step 0 to 1 at w, then a line that reaches m at T |

rewound_decay is Zafrir et al.'s (2021) for pruning: until u = rewind_until it goes back to 1 every
p = rewind_period steps, at each update, and falls in between as steeply as it does behind u.

T5X's linear_decay takes a slope, includes the base and the warm-up, and ends below zero; its
cosine_decay starts again after each cycle. Ours are given by the step at which they end.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.optim.config import ScheduleConfig

Step = Int[Array, ""] | Float[Array, ""] | int | float
Schedule = Callable[[Step], Float[Array, ""]]
_Factor = Callable[[Float[Array, ""], ScheduleConfig], Float[Array, ""]]


def make_schedule(config: ScheduleConfig) -> Schedule:
    """The learning rate as a function of the number of steps already done, which need not be a
    whole one.
    """

    def schedule(step: Step) -> Float[Array, ""]:
        value = jnp.float32(1.0)
        for name in config.factor_names:
            value = value * _FACTORS[name](jnp.asarray(step, jnp.float32), config)
        return value

    return schedule


def _rest(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    """Share of the time after the warm-up that is left: 1 until then, 0 from total_steps on."""
    assert config.total_steps is not None, "ScheduleConfig has checked total_steps"
    length = config.total_steps - config.num_warmup_steps
    return jnp.clip((config.total_steps - step) / length, 0.0, 1.0)


def _above_minimum(share: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return config.minimum_factor + (1.0 - config.minimum_factor) * share


def _constant(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return jnp.float32(config.base_learning_rate)


def _linear_warmup(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return jnp.minimum(1.0, step / config.num_warmup_steps)


def _linear_decay(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return _above_minimum(_rest(step, config), config)


def _rewound_decay(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    assert config.total_steps is not None and config.rewind_until is not None, "it was checked"
    since = jnp.where(
        step < config.rewind_until, step % config.rewind_period, step - config.rewind_until
    )
    done = since / (config.total_steps - config.rewind_until)
    return _above_minimum(jnp.clip(1.0 - done, 0.0, 1.0), config)


def _rsqrt_decay(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return 1.0 / jnp.sqrt(jnp.maximum(step, config.num_warmup_steps))


def _rsqrt_normalized_decay(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return jnp.sqrt(config.num_warmup_steps / jnp.maximum(step, config.num_warmup_steps))


def _decay_every(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return config.decay_factor ** jnp.floor(step / config.steps_per_decay)


def _cosine_decay(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    done = 1.0 - _rest(step, config)
    return _above_minimum(0.5 * (1.0 + jnp.cos(jnp.pi * done)), config)


def _triangular(step: Float[Array, ""], config: ScheduleConfig) -> Float[Array, ""]:
    return _linear_warmup(step, config) * _linear_decay(step, config)


# A row for each of FACTORS, which the config knows by name.
_FACTORS: dict[str, _Factor] = {
    "constant": _constant,
    "linear_warmup": _linear_warmup,
    "linear_decay": _linear_decay,
    "rewound_decay": _rewound_decay,
    "rsqrt_decay": _rsqrt_decay,
    "rsqrt_normalized_decay": _rsqrt_normalized_decay,
    "decay_every": _decay_every,
    "cosine_decay": _cosine_decay,
    "triangular": _triangular,
}
