"""GLUE (Wang et al. 2018): `glue_cola_v002` and the others that users of T5 know.

| task                       | inputs                              | targets                      |
|----------------------------|-------------------------------------|------------------------------|
| glue_cola_v002             | `cola sentence: ...`                | unacceptable, acceptable     |
| glue_sst2_v002             | `sst2 sentence: ...`                | negative, positive           |
| glue_mrpc_v002             | `mrpc sentence1: ... sentence2: ...`| not_equivalent, equivalent   |
| glue_qqp_v002              | `qqp question1: ... question2: ...` | not_duplicate, duplicate     |
| glue_stsb_v002             | `stsb sentence1: ... sentence2: ...`| 0.0, 0.2, ... 5.0            |
| glue_mnli_v002, and        | `mnli hypothesis: ... premise: ...` | entailment, neutral,         |
|   _matched, _mismatched    |                                     | contradiction                |
| glue_ax_v002               | the same                            | unknown: a test without them |
| glue_qnli_v002             | `qnli question: ... sentence: ...`  | entailment, not_entailment   |
| glue_rte_v002              | `rte sentence1: ... sentence2: ...` | entailment, not_entailment   |
| glue_wnli_v002_simple_eval | `wsc: ... *it* ...` (wnli.py)       | a noun of the hypothesis     |

`glue_mnli_v002` is for training: it has both validation sets under names of their own. Each has a
twin for encoders by themselves, `glue_cola_v002_encoder` and so on (WNLI: `glue_wnli_v002_encoder`,
with its training set), that reads the sentences and tells the label, of STS-B the similarity.
"""

import functools
from collections.abc import Sequence
from typing import Any

from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.classification import f1_score_with_invalid, matthews_corrcoef
from t5x_lite.metrics.correlation import pearson_corrcoef, spearman_corrcoef
from t5x_lite.tasks import similarity, winograd, wnli
from t5x_lite.tasks.classification import Classification, add_classification
from t5x_lite.tasks.original_files.glue import GlueTable
from t5x_lite.tasks.registration import add_classes_task, add_task, add_values_task, each
from t5x_lite.tasks.sources import DownstreamSource

_SPLITS = ("train", "validation", "test")
_EVALUATED = ("validation", "test")


def _source(name: str, splits: Sequence[str], files: GlueTable) -> DownstreamSource:
    # TFDS 2.0.0 differs in where QQP is downloaded from; 1.0.0 it reads, but no longer makes.
    return DownstreamSource(
        f"glue/{name}:1.0.0",
        splits,
        files.files(),
        splits_without_labels=[split for split in splits if split.startswith("test")],
        newer_version="2.0.0",
    )


def _add_classification(
    name: str,
    files: GlueTable,
    *,
    prefix: str | None = None,
    splits: Sequence[str] = _SPLITS,
    metric_fns: Sequence[Any] = (accuracy,),
) -> None:
    assert files.labels is not None, "a similarity has a format of its own"
    # The texts in the order of their names, whatever the order of the files.
    fields = {feature: feature for feature in sorted(files.columns)}
    classification = Classification(prefix or name, fields, files.labels)
    add_classification(
        f"glue_{name}_v002",
        classification,
        source=_source(name, splits, files),
        read_by_encoders=list(files.columns),
        metric_fns=metric_fns,
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_SENTENCES = _same("sentence1", "sentence2")
_NLI = {"premise": "sentence1", "hypothesis": "sentence2"}
_ENTAILMENT = ("entailment", "not_entailment")
_THREE_WAY = ("entailment", "neutral", "contradiction")

_add_classification(
    "cola",
    GlueTable("CoLA", _same("sentence"), "is_acceptable", ("unacceptable", "acceptable")),
    metric_fns=[matthews_corrcoef],
)
_add_classification(
    "sst2", GlueTable("SST-2", _same("sentence"), "label", ("negative", "positive"))
)
_add_classification(
    "mrpc",
    GlueTable(
        "MRPC",
        {"sentence1": "#1 String", "sentence2": "#2 String"},
        "Quality",
        ("not_equivalent", "equivalent"),
    ),
    metric_fns=[f1_score_with_invalid, accuracy],
)
_add_classification(
    "qqp",
    GlueTable(
        "QQP", _same("question1", "question2"), "is_duplicate", ("not_duplicate", "duplicate")
    ),
    metric_fns=[f1_score_with_invalid, accuracy],
)
_add_classification(
    "mnli",
    GlueTable("MNLI", _NLI, "gold_label", _THREE_WAY),
    splits=(
        "train",
        "validation_matched",
        "validation_mismatched",
        "test_matched",
        "test_mismatched",
    ),
)
for _kind in ("matched", "mismatched"):
    _add_classification(
        f"mnli_{_kind}",
        GlueTable("MNLI", _NLI, "gold_label", _THREE_WAY, suffix=f"_{_kind}"),
        prefix="mnli",
        splits=_EVALUATED,
    )
# The labels of the diagnostic set are not public.
_add_classification(
    "ax",
    GlueTable("AX", _NLI, "label", _THREE_WAY, own_names=("AX", "diagnostic")),
    prefix="mnli",
    splits=("test",),
    metric_fns=(),
)
_add_classification("qnli", GlueTable("QNLI", _same("question", "sentence"), "label", _ENTAILMENT))
_add_classification("rte", GlueTable("RTE", _SENTENCES, "label", _ENTAILMENT))

_STSB = _source("stsb", _SPLITS, GlueTable("STS-B", _SENTENCES, "score"))
_SIMILARITY: Any = {
    "metric_fns": [pearson_corrcoef, spearman_corrcoef],
    "postprocess_fn": similarity.number,
}
add_task("glue_stsb_v002", source=_STSB, preprocessors=[each(similarity.to_text)], **_SIMILARITY)
add_values_task(
    "glue_stsb_v002", source=_STSB, preprocessors=[each(similarity.as_texts)], **_SIMILARITY
)

_WNLI = GlueTable("WNLI", _SENTENCES, "label", ("not_entailment", "entailment"))
add_task(
    "glue_wnli_v002_simple_eval",
    source=_source("wnli", _EVALUATED, _WNLI),
    preprocessors=[each(wnli.to_text)],
    metric_fns=[accuracy],
    postprocess_fn=winograd.names_the_referent,
)
_CLASSES = Classification("wnli", _SENTENCES, _WNLI.labels)
add_classes_task(
    "glue_wnli_v002",
    source=_source("wnli", _SPLITS, _WNLI),
    preprocessors=[each(functools.partial(_CLASSES.as_texts, read=list(_SENTENCES)))],
    labels=_CLASSES.labels,
    metric_fns=[accuracy],
    postprocess_fn=_CLASSES.label_id,
)
