"""The models that are compared: how each is pre-trained, all of them on the same text for the same
number of steps, rows and tokens; or the directory that was given in place of that.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

from benchmarks.experiments import encoders, pretraining
from benchmarks.experiments.lab import FEW_PIECES, FEW_WORD_PIECES, ONE_TEXT, WORD_PIECE, Lab
from benchmarks.experiments.runs import Run, Settings, Statement
from benchmarks.experiments.tweets import directories, students
from t5x_lite.features.layouts import Layout

STEPS, LAYERS = 1_000, 4
ENCODER_RATE, TEXT_RATE = 0.002, 0.02
# Sanh et al. (2019), section 3, but for their third term, the cosine of hidden states.
TOKENS_WEIGHT, TEACHER_WEIGHT, TEMPERATURE = 2.0, 5.0, 2.0
BERT, ROBERTA, DISTILBERT, XLNET, T5 = "bert", "roberta", "distilbert", "xlnet", "t5"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What models of a layout have in common: the lab's vocabulary, the one of few pieces, and the
    settings of a pre-training that say how large its model is.
    """

    layout: Layout
    vocabulary: str
    few: str
    sizes: tuple[str, ...]


ENCODER = Kind(Layout.ENCODER, WORD_PIECE, FEW_WORD_PIECES, (*encoders.SIZES, *encoders.SPECIAL))
TEXT_TO_TEXT = Kind(Layout.ENCODER_DECODER, ONE_TEXT, FEW_PIECES, ())


@dataclasses.dataclass(frozen=True)
class Row:
    """A model by its name in tables, its pre-training with a seed, and those settings of its kind
    that mean nothing to it.
    """

    name: str
    kind: Kind
    model_file: str
    pretraining: Callable[["Row", Lab, int], Run]
    without: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Start:
    """What a fine-tuning begins with: a pre-training, or the directory that was given, with the
    sizes of its model.
    """

    name: str
    sizes: Settings
    run: Run | None = None
    given: str | None = None


def _encoder(
    row: Row,
    lab: Lab,
    seed: int,
    *,
    objective: str,
    recipe: str = "encoder_pretrain",
    more: Settings = MappingProxyType({}),
) -> Run:
    """As in other experiments with encoders."""
    settings = {"NUM_ENCODER_LAYERS": LAYERS, "LEARNING_RATE": ENCODER_RATE, **more}
    run = encoders.pretraining(
        lab,
        f"tweets/{row.name}/pretraining_{seed}",
        seed,
        objective=objective,
        model_file=row.model_file,
        recipe=recipe,
        steps=STEPS,
        settings=settings,
    )
    own = {name: value for name, value in run.settings.items() if name not in row.without}
    return dataclasses.replace(run, settings=own)


def _student(row: Row, lab: Lab, seed: int, *, teacher: str, objective: str) -> Run:
    """From every other layer of a teacher of the same seed, taught by it."""
    taught = ROWS[teacher].pretraining(ROWS[teacher], lab, seed)
    more = {
        "NUM_ENCODER_LAYERS": -(-LAYERS // 2),
        "TrainConfig.loss": Statement("(@LossConfig(), @MatchTeacherConfig())"),
        "LossConfig.weight": TOKENS_WEIGHT,
        "MatchTeacherConfig.weight": TEACHER_WEIGHT,
        "MatchTeacherConfig.temperature": TEMPERATURE,
        "TrainConfig.teacher_path": str(lab.folder(taught)),
    }
    run = _encoder(row, lab, seed, objective=objective, more=more)
    return dataclasses.replace(run, directory=functools.partial(students.directory, teacher=taught))


def _text_to_text(row: Row, lab: Lab, seed: int) -> Run:
    """Span corruption as in the first experiment, two layers that read and two that write."""
    run, steps = pretraining.pretraining(lab, seed), lab.scale.steps(STEPS)
    settings = {
        **run.settings,
        "LEARNING_RATE": TEXT_RATE,
        "EVAL_PERIOD": max(1, steps // 4),
        "CHECKPOINT_PERIOD": steps,
    }
    return dataclasses.replace(
        run,
        name=f"tweets/{row.name}/pretraining_{seed}",
        steps=steps,
        settings=settings,
        model_file=row.model_file,
        vocabulary=row.kind.vocabulary,
    ).decaying


ROWS: Mapping[str, Row] = {
    BERT: Row(
        "BERT",
        ENCODER,
        "models/bert.gin",
        functools.partial(
            _encoder, objective="masked_next_sentence", recipe="encoder_pretrain_pairs"
        ),
    ),
    ROBERTA: Row(
        "RoBERTa",
        ENCODER,
        "models/roberta.gin",
        functools.partial(_encoder, objective="masked_full_sentences"),
    ),
    DISTILBERT: Row(
        "DistilBERT",
        ENCODER,
        "models/distilbert.gin",
        functools.partial(_student, teacher=BERT, objective="masked_full_sentences"),
    ),
    XLNET: Row(
        "XLNet",
        ENCODER,
        "models/xlnet.gin",
        functools.partial(_encoder, objective="permuted"),
        without=("MAX_LENGTH",),  # it learns no positions
    ),
    T5: Row("T5", TEXT_TO_TEXT, "models/t5_1_0/mini.gin", _text_to_text),
}


def rows(lab: Lab) -> Mapping[str, Row]:
    """All of them, or those for which a directory was given.

    Raises:
        ValueError: there is no row of such a name.
    """
    from t5x_lite.config.errors import did_you_mean

    given = lab.given.models
    if unknown := [name for name in given if name not in ROWS]:
        hints = ", ".join(f"{name}{did_you_mean(name, ROWS)}" for name in unknown)
        raise ValueError(f"--models names {hints}; needed are {', '.join(ROWS)}.")
    return {key: row for key, row in ROWS.items() if not given or key in given}


def start(lab: Lab, key: str, seed: int, *, few: bool = False) -> Start:
    """Of a row: the directory given for it, or else its pre-training with a seed, with the
    vocabulary of few pieces if so asked.
    """
    row = ROWS[key]
    if (given := lab.given.models.get(key)) is not None:
        return Start("given", directories.sizes(given, row.kind.layout), given=str(given))
    run, name = row.pretraining(row, lab, seed), str(seed)
    if few:
        name += "_few_pieces"
        run = dataclasses.replace(run, name=f"{run.name}_few_pieces", vocabulary=row.kind.few)
    sizes = {size: run.settings[size] for size in row.kind.sizes if size not in row.without}
    return Start(name, sizes, run)
