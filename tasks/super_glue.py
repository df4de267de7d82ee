"""SuperGLUE (Wang et al. 2019): `super_glue_boolq_v102` and the others that users of T5 know.

| task                   | inputs                                               | targets          |
|------------------------|------------------------------------------------------|------------------|
| super_glue_boolq_v102  | `boolq passage: ... question: ...`                   | False, True      |
| super_glue_cb_v102     | `cb hypothesis: ... premise: ...`                    | entailment, ...  |
| super_glue_copa_v102   | `copa choice1: ... choice2: ... premise: ...         | choice1, choice2 |
|                        | question: cause` (or effect)                         |                  |
| super_glue_multirc_v102| `multirc question: ... answer: ... paragraph: ...`   | False, True      |
| super_glue_record_v102 | `record query: ... entities: a, b passage: ...`      | an entity        |
| super_glue_rte_v102,   | `rte hypothesis: ... premise: ...`                   | entailment,      |
|   _axb_, _axg_         |                                                      | not_entailment   |
| super_glue_wic_v102    | `wic sentence1: ... sentence2: ... word: ...`        | False, True      |
| super_glue_wsc_v102_*  | `wsc: ...` with the pronoun as `*it*`                | a noun           |
| dpr_v001_simple        | the same, from another set                           | a noun           |

BoolQ, CB and RTE have a twin for encoders by themselves, `super_glue_boolq_v102_encoder` and so on.
WSC is two tasks: `_simple_train` has those examples of the training set whose noun is the right
one, `_simple_eval` all of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from t5x_lite.metrics import groups
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.classification import mean_multiclass_f1
from t5x_lite.tasks import multirc, record, winograd
from t5x_lite.tasks.classification import Classification, add_classification
from t5x_lite.tasks.original_files.dpr import DPR_FILES
from t5x_lite.tasks.original_files.examples import INTEGER, TEXT
from t5x_lite.tasks.original_files.super_glue import (
    RECORD_FILES,
    SuperGlueTask,
    answers_of_questions,
    spans,
)
from t5x_lite.tasks.registration import add_task, each
from t5x_lite.tasks.sources import DownstreamSource, OriginalFiles

_SPLITS = ("train", "validation", "test")


def _source(name: str, splits: Sequence[str], files: OriginalFiles) -> DownstreamSource:
    return DownstreamSource(
        f"super_glue/{name}:1.0.2", splits, files, splits_without_labels=["test"]
    )


def _add_classification(
    name: str,
    files: SuperGlueTask,
    fields: Mapping[str, str],
    *,
    prefix: str | None = None,
    splits: Sequence[str] = _SPLITS,
    read_by_encoders: Sequence[str] | None = None,
    metric_fns: Sequence[Any] = (accuracy,),
) -> None:
    add_classification(
        f"super_glue_{name}_v102",
        Classification(prefix or name, fields, files.labels),
        source=_source(name, splits, files.files()),
        read_by_encoders=read_by_encoders,
        metric_fns=metric_fns,
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _texts(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, TEXT)


_TRUTH = ("False", "True")
_ENTAILMENT = ("entailment", "not_entailment")
_PREMISE_LAST = _same("hypothesis", "premise")

_add_classification(
    "boolq",
    SuperGlueTask("BoolQ", _texts("passage", "question"), _TRUTH),
    _same("passage", "question"),
    read_by_encoders=("question", "passage"),
)
_add_classification(
    "cb",
    SuperGlueTask(
        "CB", _texts("hypothesis", "premise"), ("entailment", "contradiction", "neutral")
    ),
    _PREMISE_LAST,
    read_by_encoders=("premise", "hypothesis"),
    metric_fns=[mean_multiclass_f1(num_classes=3), accuracy],
)
_COPA = ("choice1", "choice2", "premise", "question")
_add_classification(
    "copa", SuperGlueTask("COPA", _texts(*_COPA), ("choice1", "choice2")), _same(*_COPA)
)
_add_classification(
    "rte",
    SuperGlueTask("RTE", _texts("hypothesis", "premise"), _ENTAILMENT),
    _PREMISE_LAST,
    read_by_encoders=("premise", "hypothesis"),
)
_WIC = ("sentence1", "sentence2", "word")
_WIC_PLACES = dict.fromkeys(("start1", "start2", "end1", "end2"), INTEGER)
_add_classification(
    "wic", SuperGlueTask("WiC", {**_texts(*_WIC), **_WIC_PLACES}, _TRUTH), _same(*_WIC)
)
# Diagnostic sets, whose predictions are submitted; T5 has no metrics for them either.
for _name, _folder, _fields in (
    ("axb", "AX-b", {"hypothesis": "sentence2", "premise": "sentence1"}),
    ("axg", "AX-g", _PREMISE_LAST),
):
    _add_classification(
        _name,
        SuperGlueTask(_folder, _texts(*_fields.values()), _ENTAILMENT, is_diagnostic=True),
        _fields,
        prefix="rte",
        splits=("test",),
        metric_fns=(),
    )

_MULTIRC_FILES = SuperGlueTask(
    "MultiRC",
    {
        **_texts("paragraph", "question", "answer"),
        "idx": dict.fromkeys(("paragraph", "question", "answer"), INTEGER),
    },
    _TRUTH,
    expand=answers_of_questions,
)
add_task(
    "super_glue_multirc_v102",
    source=_source("multirc", _SPLITS, _MULTIRC_FILES.files()),
    preprocessors=[each(multirc.to_text)],
    metric_fns=[groups.multirc_f1_over_all_answers, groups.multirc_exact_match],
    postprocess_fn=multirc.postprocess,
)
add_task(
    "super_glue_record_v102",
    source=_source("record", _SPLITS, RECORD_FILES),
    preprocessors=[record.to_text],
    metric_fns=[groups.record],
    postprocess_fn=record.postprocess,
)
_WSC_FILES = SuperGlueTask(
    "WSC",
    {
        **_texts("text", "span1_text", "span2_text"),
        **dict.fromkeys(("span1_index", "span2_index"), INTEGER),
    },
    _TRUTH,
    expand=spans,
).files()
add_task(
    "super_glue_wsc_v102_simple_train",
    source=_source("wsc.fixed", ("train",), _WSC_FILES),
    preprocessors=[winograd.keep_true, each(winograd.wsc_to_text)],
)
add_task(
    "super_glue_wsc_v102_simple_eval",
    source=_source("wsc.fixed", ("validation", "test"), _WSC_FILES),
    preprocessors=[each(winograd.wsc_to_text)],
    metric_fns=[accuracy],
    postprocess_fn=winograd.names_the_referent,
)
add_task(
    "dpr_v001_simple",
    source=DownstreamSource("definite_pronoun_resolution:1.1.0", ("train", "test"), DPR_FILES),
    preprocessors=[each(winograd.dpr_to_text)],
    metric_fns=[accuracy],
)
