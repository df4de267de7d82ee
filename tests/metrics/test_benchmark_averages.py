"""The averages of the T5 paper's Table 1 follow from the scores of its Table 16."""

from t5x_lite.metrics.benchmark_averages import (
    averages,
    what_is_missing,
)

# The baseline of Raffel et al. (2020), Table 16.
GLUE = {
    "glue_cola_v002": {"matthews_corrcoef": 53.84},
    "glue_sst2_v002": {"accuracy": 92.68},
    "glue_mrpc_v002": {"f1": 92.07, "accuracy": 88.92},
    "glue_stsb_v002": {"pearson_corrcoef": 88.02, "spearman_corrcoef": 87.94},
    "glue_qqp_v002": {"f1": 88.67, "accuracy": 91.56},
    "glue_mnli_matched_v002": {"accuracy": 84.24},
    "glue_mnli_mismatched_v002": {"accuracy": 84.57},
    "glue_qnli_v002": {"accuracy": 90.48},
    "glue_rte_v002": {"accuracy": 76.28},
}
SUPER_GLUE = {
    "super_glue_boolq_v102": {"accuracy": 76.62},
    "super_glue_cb_v102": {"mean_3class_f1": 91.22, "accuracy": 91.96},
    "super_glue_copa_v102": {"accuracy": 66.20},
    "super_glue_multirc_v102": {"f1": 66.13, "exact_match": 25.78},
    "super_glue_record_v102": {"f1": 69.05, "em": 68.16},
    "super_glue_rte_v102": {"accuracy": 75.34},
    "super_glue_wic_v102": {"accuracy": 68.04},
    "super_glue_wsc_v102_simple_eval": {"accuracy": 78.56},
}


def test_the_baseline_has_the_averages_of_the_paper():
    """83.28 and 71.36 in Table 1."""
    found = averages({**GLUE, **SUPER_GLUE})
    assert round(found["glue_average"], 3) == 83.284
    assert round(found["super_glue_average"], 3) == 71.364


def test_other_tasks_do_not_count():
    """WNLI, DPR, translation, and another metric of a task that counts."""
    others = {
        "glue_wnli_v002_simple_eval": {"accuracy": 0.0},
        "dpr_v001_simple": {"accuracy": 0.0},
        "wmt_t2t_ende_v003": {"bleu": 0.0},
        "glue_sst2_v002": {"accuracy": 92.68, "sequence_accuracy": 0.0},
    }
    assert averages({**GLUE, **SUPER_GLUE, **others}) == averages({**GLUE, **SUPER_GLUE})


def test_what_is_missing_is_named():
    """A task, and one metric of a task."""
    results = {name: scores for name, scores in GLUE.items() if name != "glue_mnli_matched_v002"}
    results["glue_mrpc_v002"] = {"accuracy": 88.92}
    assert averages(results) == {}
    (line,) = what_is_missing(results)
    assert line == (
        "no glue_average: it needs also glue_mrpc_v002/f1, glue_mnli_matched_v002/accuracy"
    )


def test_one_task_by_itself_lacks_nothing():
    """Who fine-tunes on RTE does not ask for GLUE."""
    assert what_is_missing({"glue_rte_v002": {"accuracy": 76.28}}) == []
    assert what_is_missing({**GLUE, **SUPER_GLUE}) == []
