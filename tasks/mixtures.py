"""The mixtures of Raffel et al. (2020), sections 3.5 and 3.7.

| tasks                         | by the paper's formula  | with the released weights           |
|-------------------------------|-------------------------|-------------------------------------|
| 23, K = 2^16 ... 2^21         | all_proportional_k_2_16 | all_proportional_k_2_16_released    |
| 23, K = 2^19                  | all_proportional_k_2_19 | all_proportional                    |
| 23, temperature 2, 4, 8       | all_temperature_2       | -                                   |
| 23, equal                     | all_equal               | all_equal                           |
| C4 and six of seven           | all_but_squad           | leave_one_out_squad_v010_allanswers |
| all but C4                    | all_supervised          | all_supervised_released             |
| final recipe, small ... 11b   | all_mix_small           | all_mix_small_released              |

By the formula every task counts min(examples, K). In the released code GLUE and SuperGLUE count all
their examples, whatever K is, and RTE, which is in both, counts half. Released T5 was trained so:
its shares of C4 are those of all_mix_*_released.

glue_v002_proportional, super_glue_v102_proportional, glue_mnli_and_dev_v002 and
wsc_dpr_simple_proportional are the same in both. Tasks that only evaluate have the rate 0. C4 is
version 2.2.0; with the suffix `_c4_v310` it is the version that TFDS has today.
"""

from collections.abc import Collection, Mapping

import seqio

# Imported for what they register.
from t5x_lite.tasks import (  # noqa: F401
    c4,
    cnn_dailymail,
    glue,
    rates,
    squad,
    super_glue,
    translation,
)
from t5x_lite.tasks.example_counts import GLUE, SUPER_GLUE, SUPERVISED

Rate = float | rates.Rate

LIMIT = 2**19  # K of sections 3.5.3 and 3.7, and of whatever the released code leaves to gin
# The final recipe (section 3.7) draws C4 as if it had so many pages: the more, the larger the model
# and so the more of it is read. EnFr and EnDe are its only tasks with more than a million examples.
C4_SIZES = {
    "small": 710_000,
    "base": 2_620_000,
    "large": 8_660_000,
    "3b": 33_500_000,
    "11b": 133_000_000,
}
FINAL_LIMIT = 1_000_000

# What has nothing to train on, evaluated along with the tasks of its benchmark.
GLUE_EVALUATION = ("glue_mnli_mismatched_v002", "glue_mnli_matched_v002", "glue_ax_v002")
SUPER_GLUE_EVALUATION = (
    "super_glue_wsc_v102_simple_eval",
    "super_glue_axb_v102",
    "super_glue_axg_v102",
)
# Seven things to leave out, each whole: (our name, the name of the released mixture, its tasks).
LEAVE_OUT = (
    ("glue", "glue_v002_proportional", tuple(GLUE)),
    ("super_glue", "super_glue_v102_proportional", tuple(SUPER_GLUE)),
    ("cnn_dailymail", "cnn_dailymail_v002", ("cnn_dailymail_v002",)),
    ("squad", "squad_v010_allanswers", ("squad_v010_allanswers",)),
    ("ende", "wmt_t2t_ende_v003", ("wmt_t2t_ende_v003",)),
    ("enfr", "wmt15_enfr_v003", ("wmt15_enfr_v003",)),
    ("enro", "wmt16_enro_v003", ("wmt16_enro_v003",)),
)


def _add(name: str, task_rates: Mapping[str, Rate]) -> None:
    """Registers a mixture; a benchmark's evaluation tasks come along, never drawn."""
    evaluated = {}
    if set(GLUE) <= set(task_rates):
        evaluated |= dict.fromkeys(GLUE_EVALUATION, 0.0)
    if set(SUPER_GLUE) <= set(task_rates):
        evaluated |= dict.fromkeys(SUPER_GLUE_EVALUATION, 0.0)
    seqio.MixtureRegistry.add(name, list((task_rates | evaluated).items()))


def _released(tasks: Collection[str], limit: int) -> dict[str, Rate]:
    """GLUE and SuperGLUE by their weights, RTE halved if it is there twice, others by the limit."""
    both = {"glue_rte_v002", "super_glue_rte_v102"}
    halved = both if both <= set(tasks) else set()
    return {
        task: (GLUE | SUPER_GLUE)[task] * (0.5 if task in halved else 1.0)
        if task in GLUE | SUPER_GLUE
        else rates.examples_proportional(limit)
        for task in tasks
    }


def _add_benchmarks() -> None:
    """Every task as often as it has examples: one pass over all of them takes equally long."""
    _add("glue_v002_proportional", {task: float(n) for task, n in GLUE.items()})
    _add("super_glue_v102_proportional", {task: float(n) for task, n in SUPER_GLUE.items()})
    held_out = dict.fromkeys(("glue_mnli_mismatched_v002", "glue_mnli_matched_v002"), 0.0)
    _add("glue_mnli_and_dev_v002", {"glue_mnli_v002": 1.0} | held_out)
    wsc = ("dpr_v001_simple", "super_glue_wsc_v102_simple_train")
    weights = {task: float(SUPER_GLUE[task]) for task in wsc}
    _add("wsc_dpr_simple_proportional", weights | {"super_glue_wsc_v102_simple_eval": 0.0})


def _add_with_c4(corpus: str, suffix: str) -> None:
    """What mixes C4 with supervised tasks; `suffix` ends each name."""
    c4_task = f"{corpus}_iid_denoising"  # the baseline's objective
    every = (c4_task, *SUPERVISED)

    def by_limit(tasks: Collection[str], limit: int) -> dict[str, Rate]:
        return dict.fromkeys(tasks, rates.examples_proportional(limit))

    for power in range(16, 22):
        name = f"all_proportional_k_2_{power}"
        _add(name + suffix, by_limit(every, 2**power))
        _add(f"{name}_released{suffix}", _released(every, 2**power))
    _add("all_proportional" + suffix, _released(every, LIMIT))
    for temperature in (2.0, 4.0, 8.0):
        rate = rates.temperature(temperature)
        _add(f"all_temperature_{temperature:.0f}{suffix}", dict.fromkeys(every, rate))
    _add("all_equal" + suffix, dict.fromkeys(every, rates.equal()))
    for name, released_name, left_out in LEAVE_OUT:
        others = [task for task in every if task not in left_out]
        _add(f"all_but_{name}{suffix}", by_limit(others, LIMIT))
        _add(f"leave_one_out_{released_name}{suffix}", _released(others, LIMIT))
    for size, pages in C4_SIZES.items():
        c4_rate = {f"{corpus}_span_corruption": float(pages)}
        _add(f"all_mix_{size}{suffix}", c4_rate | by_limit(SUPERVISED, FINAL_LIMIT))
        _add(f"all_mix_{size}_released{suffix}", c4_rate | _released(SUPERVISED, FINAL_LIMIT))


_add_benchmarks()
_add("all_supervised", dict.fromkeys(SUPERVISED, rates.examples_proportional(LIMIT)))
_add("all_supervised_released", _released(SUPERVISED, LIMIT))
for _corpus, _suffix in {"c4_v220": "", "c4_v310": "_c4_v310"}.items():
    _add_with_c4(_corpus, _suffix)
