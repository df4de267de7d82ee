"""How many training examples the data sets of Raffel et al. (2020) have: rates then need no data.

C4 counts its pages, ReCoRD one example per answer, WSC only the pronouns that the noun belongs to
(a model learns to write the noun). WNLI is not here: it is never trained on, because its sentences
come from WSC.
"""

import seqio

from t5x_lite.errors import UserError

GLUE = {
    "glue_cola_v002": 8_551,
    "glue_sst2_v002": 67_349,
    "glue_mrpc_v002": 3_668,
    "glue_qqp_v002": 363_849,
    "glue_stsb_v002": 5_749,
    "glue_mnli_v002": 392_702,
    "glue_qnli_v002": 104_743,
    "glue_rte_v002": 2_490,
}

# With the pronouns of DPR, which the paper added to WSC.
SUPER_GLUE = {
    "dpr_v001_simple": 1_322,
    "super_glue_wsc_v102_simple_train": 259,
    "super_glue_boolq_v102": 9_427,
    "super_glue_cb_v102": 250,
    "super_glue_copa_v102": 400,
    "super_glue_multirc_v102": 27_243,
    "super_glue_record_v102": 138_854,
    "super_glue_rte_v102": 2_490,
    "super_glue_wic_v102": 5_428,
}

SUMMARIES_ANSWERS_TRANSLATIONS = {
    "cnn_dailymail_v002": 287_113,
    "squad_v010_allanswers": 87_599,
    "wmt_t2t_ende_v003": 4_592_289,
    "wmt15_enfr_v003": 40_850_000,  # rounded: beyond every limit of the paper
    "wmt16_enro_v003": 610_320,
}

SUPERVISED = GLUE | SUPER_GLUE | SUMMARIES_ANSWERS_TRANSLATIONS

C4_PAGES = 364_868_901


def num_examples(task: seqio.Task) -> int:
    """The published number; of a task that is not the paper's what its cache, else its source has.

    Shares of the paper's mixtures are thereby the same whatever lies on the disk.

    Raises:
        UserError: the task is not the paper's and its source cannot count.
    """
    if task.name in SUPERVISED:
        return SUPERVISED[task.name]
    if task.name.startswith(("c4_v220_", "c4_v310_")):
        return C4_PAGES
    if task.cache_dir:
        return int(task.get_cached_stats("train")["examples"])
    count = task.num_input_examples("train")
    if count is None:
        raise UserError(
            f"The rate of task {task.name} follows from its number of examples, which its source "
            "does not know: give the source `num_input_examples`, or the task a number as its rate."
        )
    return int(count)
