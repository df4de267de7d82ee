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

`glue_mnli_v002` is for training: it has both validation sets under names of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.tasks import similarity, winograd, wnli
from t5x_lite.tasks.classification import Classification
from t5x_lite.tasks.registration import add_task, each
from t5x_lite.tasks.sources import DownstreamSource

_SPLITS = ("train", "validation", "test")
_EVALUATED = ("validation", "test")


def _source(name: str, splits: Sequence[str]) -> DownstreamSource:
    return DownstreamSource(f"glue/{name}:1.0.0", splits)


def _add_classification(
    name: str,
    fields: Mapping[str, str],
    labels: Sequence[str],
    *,
    prefix: str | None = None,
    splits: Sequence[str] = _SPLITS,
    metric_fns: Sequence[Any] = (accuracy,),
) -> None:
    classification = Classification(prefix or name, fields, labels)
    add_task(
        f"glue_{name}_v002",
        source=_source(name, splits),
        preprocessors=[each(classification)],
        metric_fns=metric_fns,
        postprocess_fn=classification.label_id,
    )


_SENTENCES = {"sentence1": "sentence1", "sentence2": "sentence2"}
_PREMISE_LAST = {"hypothesis": "hypothesis", "premise": "premise"}
_ENTAILMENT = ("entailment", "not_entailment")
_MNLI_LABELS = ("entailment", "neutral", "contradiction")

_add_classification("cola", {"sentence": "sentence"}, ("unacceptable", "acceptable"))
_add_classification("sst2", {"sentence": "sentence"}, ("negative", "positive"))
_add_classification("mrpc", _SENTENCES, ("not_equivalent", "equivalent"))
_add_classification(
    "qqp",
    {"question1": "question1", "question2": "question2"},
    ("not_duplicate", "duplicate"),
)
_add_classification(
    "mnli",
    _PREMISE_LAST,
    _MNLI_LABELS,
    splits=(
        "train",
        "validation_matched",
        "validation_mismatched",
        "test_matched",
        "test_mismatched",
    ),
)
for _name in ("mnli_matched", "mnli_mismatched"):
    _add_classification(_name, _PREMISE_LAST, _MNLI_LABELS, prefix="mnli", splits=_EVALUATED)
# The labels of the diagnostic set are not public.
_add_classification(
    "ax", _PREMISE_LAST, _MNLI_LABELS, prefix="mnli", splits=("test",), metric_fns=()
)
_add_classification("qnli", {"question": "question", "sentence": "sentence"}, _ENTAILMENT)
_add_classification("rte", _SENTENCES, _ENTAILMENT)

add_task(
    "glue_stsb_v002",
    source=_source("stsb", _SPLITS),
    preprocessors=[each(similarity.to_text)],
    postprocess_fn=similarity.number,
)
add_task(
    "glue_wnli_v002_simple_eval",
    source=_source("wnli", _EVALUATED),
    preprocessors=[each(wnli.to_text)],
    metric_fns=[accuracy],
    postprocess_fn=winograd.names_the_referent,
)
