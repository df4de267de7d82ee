"""Prompts as rows: how an example of a task is put to a model that was not trained for the task.

| name        | asked                                                   | chosen from              |
|-------------|---------------------------------------------------------|--------------------------|
| sst2        | `Review: ... Sentiment:`                                | negative, positive       |
| boolq       | the passage, `Question: ...? Answer:`                   | no, yes                  |
| cb          | the premise, `Question: ... True, false or neither?`    | true, false, neither     |
| copa        | the premise, `because` or `so`                          | its two sequels          |
| multirc     | the paragraph, the question, an answer, `Is it right?`  | no, yes                  |
| record      | the passage, its query up to the gap                    | its entities             |
| rte         | the premise, `Question: ... True or false?`             | true, false              |
| axb, axg    | the same, with demonstrations of rte                    | true, false              |
| wic         | two sentences, `does ... mean the same in both?`        | no, yes                  |
| wsc         | the text, `does ... stand for ...?`                     | no, yes                  |
| dpr         | the sentence, `what does ... stand for?`                | its two candidates       |
| ende, enfr, enro | `English =`                                        | -: the translation       |
| lambada     | a passage without its last word                         | -: the word              |

GPT-3 (Brown et al. 2020, appendix G) and GPT-2 (Radford et al. 2019, section 3) ask in this manner;
the words are ours. A demonstration is an item with the right answer behind it.
"""

import dataclasses
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.metrics import groups
from t5x_lite.metrics.accuracy import accuracy, sequence_accuracy
from t5x_lite.metrics.bleu import bleu
from t5x_lite.metrics.classification import mean_multiclass_f1
from t5x_lite.metrics.likelihood import perplexity

Fields = dict[str, Any]
_NOT_AN_OPTION = -1


@dataclasses.dataclass(frozen=True)
class Template:
    """A row of the table.

    The examples are those of the source of `task`, demonstrations the training examples of
    `demonstrations` or, if it is None, of the same task. `prepare` adds to the fields of an example
    or changes them. `item` and `options` name fields in braces; options of its own an example has
    in the field `options`. `answer` is the field with the place of the right option or, where there
    are none, the text. `neutral` asks without saying what (for P(option | item) / P(option |
    neutral)). `value` makes of a prediction (the place of an option, else a text), or of the target
    if `is_target`, what `metric_fns` compare; `kept` are the fields that it needs.
    """

    name: str
    task: str
    item: str
    options: Sequence[str] = ()
    answer: str = "label"
    neutral: str = "Answer:"
    separator: str = "\n\n"
    demonstrations: str | None = None
    prepare: Callable[[Fields], Fields] = lambda fields: fields
    value: Callable[[Any, Mapping[str, Any], bool], Any] = lambda value, example, is_target: value
    kept: Sequence[str] = ()
    metric_fns: Sequence[Callable[..., Any]] = (accuracy,)

    def item_of(self, fields: Fields) -> str:
        """The text of the item."""
        return self._filled(self.item, fields)

    def options_of(self, fields: Fields) -> list[str]:
        """Their texts; none where a text is asked for."""
        if self.options:
            return [self._filled(option, fields) for option in self.options]
        return [str(option) for option in fields.get("options", ())]

    def right_of(self, fields: Fields) -> int:
        """The place of the right option; -1 where it is not known."""
        return int(self._field(self.answer, fields)) if self.options_of(fields) else _NOT_AN_OPTION

    def answer_of(self, fields: Fields) -> str:
        """The text that belongs behind the item; none where it is not known."""
        options, right = self.options_of(fields), self.right_of(fields)
        if not options:
            return str(self._field(self.answer, fields))
        return options[right] if right >= 0 else ""

    def _filled(self, text: str, fields: Fields) -> str:
        named = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        return text.format_map({name: self._field(name, fields) for name in named})

    def _field(self, name: str, fields: Fields) -> Any:
        if name not in fields:
            raise UserError(
                f"the template {self.name!r} names the field {name!r}, which the examples of "
                f"{self.task} do not have: needed is one of {', '.join(sorted(fields))}, or a "
                "function `prepare` that makes it."
            )
        return fields[name]


# Of single tasks.


def _copa(fields: Fields) -> Fields:
    """One sentence that goes on: `The man fell because` `he slipped on the ice.`"""
    joint = {"cause": "because", "effect": "so"}[fields["question"]]
    sequels = {name: fields[name][:1].lower() + fields[name][1:] for name in ("choice1", "choice2")}
    return fields | sequels | {"joint": joint, "premise": fields["premise"].rstrip(".")}


def _multirc(fields: Fields) -> Fields:
    """Without the markup of the paragraph."""
    paragraph = fields["paragraph"]
    for mark, text in (("<br>", " "), ("<b>", ""), ("</b>", "")):
        paragraph = paragraph.replace(mark, text)
    return fields | {"paragraph": paragraph, "idx/question": int(fields["idx"]["question"])}


def _record(fields: Fields) -> Fields:
    """The query up to its gap; options are entities with what follows the gap. An entity that is
    an answer is right, the first where there are several.
    """
    before, _, behind = fields["query"].partition("@placeholder")
    entities, answers = list(dict.fromkeys(fields["entities"])), set(fields["answers"])
    right = next((i for i, each in enumerate(entities) if each in answers), _NOT_AN_OPTION)
    return fields | {
        "passage": fields["passage"].replace("@highlight\n", "- "),
        "before": before.rstrip(),
        "options": [each + behind for each in entities],
        "entities": entities,
        "label": right,
        "idx/query": int(fields["idx"]["query"]),
    }


def _of_question(value: Any, example: Mapping[str, Any], is_target: bool) -> Any:
    return {"value": value, **({"group": int(example["idx/question"])} if is_target else {})}


def _of_query(value: Any, example: Mapping[str, Any], is_target: bool) -> Any:
    if is_target:
        return {"value": list(example["answers"]), "group": int(example["idx/query"])}
    return {"value": example["entities"][value] if value >= 0 else ""}


def _axb(fields: Fields) -> Fields:
    """With the names of RTE, whose examples demonstrate."""
    if "sentence1" not in fields:
        return fields
    return fields | {"premise": fields["sentence1"], "hypothesis": fields["sentence2"]}


def _dpr(fields: Fields) -> Fields:
    return fields | {"options": list(fields["candidates"])}


def _lambada(fields: Fields) -> Fields:
    context, _, word = fields["passage"].strip().rpartition(" ")
    return fields | {"context": context.rstrip(), "word": word}


def _first_word(value: str, example: Mapping[str, Any], is_target: bool) -> str:
    """Without punctuation around it, unless it is nothing else."""
    word = next(iter(value.split()), "")
    return word.strip(string.punctuation) or word


_NO_YES = ("no", "yes")
_QUESTION = "{premise}\nQuestion: {hypothesis}"
_TRUE_OR_FALSE = _QUESTION + " True or false?\nAnswer:"


_RTE = "super_glue_rte_v102"


def _translation(name: str, task: str) -> Template:
    return Template(
        name, task, "{en} =", answer=name[2:], separator="\n", neutral="=", metric_fns=(bleu,)
    )


TEMPLATES = (
    Template(
        "sst2",
        "glue_sst2_v002",
        "Review: {sentence}\nSentiment:",
        ("negative", "positive"),
        neutral="Sentiment:",
    ),
    Template(
        "boolq", "super_glue_boolq_v102", "{passage}\nQuestion: {question}?\nAnswer:", _NO_YES
    ),
    Template(
        "cb",
        "super_glue_cb_v102",
        _QUESTION + " True, false or neither?\nAnswer:",
        ("true", "false", "neither"),
        metric_fns=(mean_multiclass_f1(num_classes=3), accuracy),
    ),
    Template(
        "copa",
        "super_glue_copa_v102",
        "{premise} {joint}",
        ("{choice1}", "{choice2}"),
        prepare=_copa,
        neutral="because",
    ),
    Template(
        "multirc",
        "super_glue_multirc_v102",
        "{paragraph}\nQuestion: {question}\nProposed: {answer}\nIs it right?\nAnswer:",
        _NO_YES,
        prepare=_multirc,
        value=_of_question,
        kept=("idx/question",),
        metric_fns=(groups.multirc_f1_over_all_answers, groups.multirc_exact_match),
    ),
    Template(
        "record",
        "super_glue_record_v102",
        "{passage}\n{before}",
        prepare=_record,
        value=_of_query,
        kept=("idx/query", "answers", "entities"),
        metric_fns=(groups.record,),
    ),
    Template("rte", _RTE, _TRUE_OR_FALSE, ("true", "false")),
    Template(
        "axb",
        "super_glue_axb_v102",
        _TRUE_OR_FALSE,
        ("true", "false"),
        demonstrations=_RTE,
        prepare=_axb,
    ),
    Template("axg", "super_glue_axg_v102", _TRUE_OR_FALSE, ("true", "false"), demonstrations=_RTE),
    Template(
        "wic",
        "super_glue_wic_v102",
        "{sentence1}\n{sentence2}\nQuestion: does {word} mean the same in both?\nAnswer:",
        _NO_YES,
    ),
    Template(
        "wsc",
        "super_glue_wsc_v102_simple_eval",
        '{text}\nQuestion: does "{span2_text}" stand for "{span1_text}"?\nAnswer:',
        _NO_YES,
        demonstrations="super_glue_wsc_v102_simple_train",
    ),
    Template(
        "dpr",
        "dpr_v001_simple",
        '{sentence}\nQuestion: what does "{pronoun}" stand for?\nAnswer:',
        prepare=_dpr,
    ),
    _translation("ende", "wmt_t2t_ende_v003"),
    _translation("enfr", "wmt15_enfr_v003"),
    _translation("enro", "wmt16_enro_v003"),
    Template(
        "lambada",
        "lambada_v100",
        "{context}",
        answer="word",
        prepare=_lambada,
        value=_first_word,
        neutral="",
        metric_fns=(sequence_accuracy, perplexity),
    ),
)
