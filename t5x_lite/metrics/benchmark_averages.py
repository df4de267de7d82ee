"""GLUE and SuperGLUE as one number each, as the T5 paper's tables have them (Raffel et al. 2020).

The mean over tasks; a task of two scores is averaged first, as are the two validation sets of MNLI.
WNLI, the diagnostic sets and DPR, which is only trained on, do not count.
"""

import dataclasses
import statistics
from collections.abc import Mapping

# The scores of each task by metric.
Results = Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What its average is called, and for each task the scores `<task>/<metric>` that count."""

    average_name: str
    tasks: Mapping[str, tuple[str, ...]]

    def average(self, results: Results) -> float:
        """The mean over tasks of the mean of their scores, of which none is `missing`."""
        return statistics.fmean(
            statistics.fmean(_score(results, name) for name in names)
            for names in self.tasks.values()
        )

    def missing(self, results: Results) -> list[str]:
        """The scores `<task>/<metric>` that the average lacks."""
        every = (name for names in self.tasks.values() for name in names)
        return [name for name in every if not _has(results, name)]

    def begun(self, results: Results) -> bool:
        """Whether several of its tasks are there; one by itself is no attempt at the benchmark."""
        return 1 < sum(all(_has(results, name) for name in names) for names in self.tasks.values())


def _has(results: Results, name: str) -> bool:
    task, _, metric = name.partition("/")
    return metric in results.get(task, {})


def _score(results: Results, name: str) -> float:
    task, _, metric = name.partition("/")
    return results[task][metric]


GLUE = Benchmark(
    "glue_average",
    {
        "CoLA": ("glue_cola_v002/matthews_corrcoef",),
        "SST-2": ("glue_sst2_v002/accuracy",),
        "MRPC": ("glue_mrpc_v002/f1", "glue_mrpc_v002/accuracy"),
        "STS-B": ("glue_stsb_v002/pearson_corrcoef", "glue_stsb_v002/spearman_corrcoef"),
        "QQP": ("glue_qqp_v002/f1", "glue_qqp_v002/accuracy"),
        "MNLI": ("glue_mnli_matched_v002/accuracy", "glue_mnli_mismatched_v002/accuracy"),
        "QNLI": ("glue_qnli_v002/accuracy",),
        "RTE": ("glue_rte_v002/accuracy",),
    },
)
SUPER_GLUE = Benchmark(
    "super_glue_average",
    {
        "BoolQ": ("super_glue_boolq_v102/accuracy",),
        "CB": ("super_glue_cb_v102/mean_3class_f1", "super_glue_cb_v102/accuracy"),
        "COPA": ("super_glue_copa_v102/accuracy",),
        "MultiRC": ("super_glue_multirc_v102/f1", "super_glue_multirc_v102/exact_match"),
        "ReCoRD": ("super_glue_record_v102/f1", "super_glue_record_v102/em"),
        "RTE": ("super_glue_rte_v102/accuracy",),
        "WiC": ("super_glue_wic_v102/accuracy",),
        "WSC": ("super_glue_wsc_v102_simple_eval/accuracy",),
    },
)
BENCHMARKS = (GLUE, SUPER_GLUE)


def averages(results: Results) -> dict[str, float]:
    """The averages of those benchmarks of which all scores are there."""
    complete = [each for each in BENCHMARKS if not each.missing(results)]
    return {each.average_name: each.average(results) for each in complete}


def what_is_missing(results: Results) -> list[str]:
    """A sentence for each benchmark of which several tasks are there, but not all."""
    return [
        f"no {each.average_name}: it needs also {', '.join(each.missing(results))}"
        for each in BENCHMARKS
        if each.missing(results) and each.begun(results)
    ]
