"""The three kinds of mixing rates of Raffel et al. (2020), section 3.5.2, for `default_rate`.

    seqio.MixtureRegistry.add("my_mixture", ["task_a", "task_b"],
                              default_rate=rates.examples_proportional(limit=2**19))

Rates are relative. A task counts as many examples as its cache holds, else as its source has.
"""

import functools
from collections.abc import Callable

import seqio

Rate = Callable[[seqio.Task], float]


def examples_proportional(limit: int) -> Rate:
    """Proportional to min(examples, limit): the limit K bounds the share of a huge task."""
    return functools.partial(seqio.mixing_rate_num_examples, maximum=limit)


def temperature(temperature: float, *, limit: int = 2**21) -> Rate:
    """Proportional to min(examples, limit) ** (1 / temperature): from proportional to equal."""
    return functools.partial(seqio.mixing_rate_num_examples, maximum=limit, temperature=temperature)


def equal() -> Rate:
    """The same for every task."""
    return lambda task: 1.0
