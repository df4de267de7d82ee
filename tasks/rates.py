"""The three kinds of mixing rates of Raffel et al. (2020), section 3.5.2, for `default_rate`.

    seqio.MixtureRegistry.add("my_mixture", ["task_a", "task_b"],
                              default_rate=rates.examples_proportional(limit=2**19))

Rates are relative. A task of the paper counts as many examples as its table has
(example_counts.py), another as many as its cache holds, else as its source has.
"""

import functools
from collections.abc import Callable

import seqio

from t5x_lite.tasks.example_counts import num_examples

Rate = Callable[[seqio.Task], float]


def examples_proportional(limit: int) -> Rate:
    """Proportional to min(examples, limit): the limit K bounds the share of a huge task."""
    return functools.partial(_rate, limit=limit, exponent=1.0)


def temperature(temperature: float, *, limit: int = 2**21) -> Rate:
    """Proportional to min(examples, limit) ** (1 / temperature): from proportional to equal."""
    return functools.partial(_rate, limit=limit, exponent=1.0 / temperature)


def equal() -> Rate:
    """The same for every task."""
    return lambda task: 1.0


def _rate(task: seqio.Task, *, limit: int, exponent: float) -> float:
    return float(min(num_examples(task), limit) ** exponent)
