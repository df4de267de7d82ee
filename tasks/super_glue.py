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

WSC is two tasks: `_simple_train` has those examples of the training set whose noun is the right
one, `_simple_eval` all of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.tasks import multirc, record, winograd
from t5x_lite.tasks.classification import Classification
from t5x_lite.tasks.registration import add_task, each
from t5x_lite.tasks.sources import DownstreamSource

_SPLITS = ("train", "validation", "test")


def _source(name: str, splits: Sequence[str] = _SPLITS) -> DownstreamSource:
    return DownstreamSource(f"super_glue/{name}:1.0.2", splits)


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
        f"super_glue_{name}_v102",
        source=_source(name, splits),
        preprocessors=[each(classification)],
        metric_fns=metric_fns,
        postprocess_fn=classification.label_id,
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_TRUTH = ("False", "True")
_ENTAILMENT = ("entailment", "not_entailment")
_PREMISE_LAST = _same("hypothesis", "premise")

_add_classification("boolq", _same("passage", "question"), _TRUTH)
_add_classification("cb", _PREMISE_LAST, ("entailment", "contradiction", "neutral"))
_add_classification(
    "copa", _same("choice1", "choice2", "premise", "question"), ("choice1", "choice2")
)
_add_classification("rte", _PREMISE_LAST, _ENTAILMENT)
_add_classification("wic", _same("sentence1", "sentence2", "word"), _TRUTH)
# Diagnostic sets, submitted and not scored, as T5 has them.
for _name, _fields in (
    ("axb", {"hypothesis": "sentence2", "premise": "sentence1"}),
    ("axg", _PREMISE_LAST),
):
    _add_classification(_name, _fields, _ENTAILMENT, prefix="rte", splits=("test",), metric_fns=())

add_task(
    "super_glue_multirc_v102",
    source=_source("multirc"),
    preprocessors=[each(multirc.to_text)],
    postprocess_fn=multirc.postprocess,
)
add_task(
    "super_glue_record_v102",
    source=_source("record"),
    preprocessors=[record.to_text],
    postprocess_fn=record.postprocess,
)
add_task(
    "super_glue_wsc_v102_simple_train",
    source=_source("wsc.fixed", ("train",)),
    preprocessors=[winograd.keep_true, each(winograd.wsc_to_text)],
)
add_task(
    "super_glue_wsc_v102_simple_eval",
    source=_source("wsc.fixed", ("validation", "test")),
    preprocessors=[each(winograd.wsc_to_text)],
    metric_fns=[accuracy],
    postprocess_fn=winograd.names_the_referent,
)
add_task(
    "dpr_v001_simple",
    source=DownstreamSource("definite_pronoun_resolution:1.1.0", ("train", "test")),
    preprocessors=[each(winograd.dpr_to_text)],
    metric_fns=[accuracy],
)
