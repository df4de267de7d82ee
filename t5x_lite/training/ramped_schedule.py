"""A learning rate over batches that grow."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from t5x_lite.data.ramp import Ramp
from t5x_lite.optim.config import ScheduleConfig
from t5x_lite.optim.schedules import Schedule, Step, make_schedule


def schedule_over(config: ScheduleConfig, ramp: Ramp) -> Schedule:
    """The learning rate of each step of a run. It goes by the rows that were read, in whole
    batches, as GPT-3's goes by tokens (Brown et al. 2020, appendix B).
    """
    schedule = make_schedule(config)
    if len(ramp.stages) == 1:
        return schedule
    firsts = np.array([stage.first for stage in ramp.stages], np.float32)
    whole = ramp.stages[-1].rows
    read = np.array([ramp.rows_of_first(s.first) / whole for s in ramp.stages], np.float32)

    def of_step(step: Step) -> Float[Array, ""]:
        number = jnp.asarray(step, jnp.float32)
        beyond = jnp.maximum(number - firsts[-1], 0.0)
        return schedule(jnp.interp(number, firsts, read) + beyond)

    return of_step
