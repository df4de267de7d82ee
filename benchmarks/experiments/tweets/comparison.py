"""tweets-models: five models and two answers without one, on the same tweets."""

import itertools
import math
from collections.abc import Iterator, Sequence

from benchmarks.experiments import encoders, statistics
from benchmarks.experiments.experiment import Chart, Experiment, Record, arms, by_seed
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.tweets import data, finetuning, models

NEEDED = 2  # standard errors
METRICS = {"accuracy": "accuracy, %", "f1": "F1 of disasters, %"}


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Every model with every seed, of its pre-training as of its fine-tuning."""
    rows = models.rows(lab)
    yield Record(data.MAJORITY, None, data.majority(lab))
    yield Record(data.TF_IDF, None, data.tf_idf(lab))
    for seed in seeds:
        for key, row in rows.items():
            start = models.start(lab, key, seed)
            run = finetuning.finetuning(lab, key, start, "usual", seed, finetuning.Factors())
            yield Record(row.name, seed, finetuning.scores(lab, key, run))


def standard_error(values: Sequence[float], examples: float) -> float:
    """Of a mean over seeds of a share in per cent: of the seeds, and of the examples, which are the
    same for all seeds.
    """
    found = statistics.spread(values)
    of_seeds = found.deviation**2 / found.count if found.count > 1 else 0.0
    return math.sqrt(found.mean * (100 - found.mean) / examples + of_seeds)


def notes(records: Sequence[Record]) -> list[str]:
    """Which models beat the majority class, and which differ from each other."""
    (majority,) = [record for record in records if record.arm == data.MAJORITY]
    level, examples = majority.scores["accuracy"], majority.scores["examples"]
    found = {}
    for arm in arms([record for record in records if record.seed is not None]):
        values = list(by_seed(records, arm, "accuracy").values())
        found[arm] = statistics.spread(values).mean, standard_error(values, examples)
    above = []
    for arm, (mean, error) in found.items():
        times = (mean - level) / error if error else math.inf
        verdict = "above" if times > NEEDED else "NOT above"
        above.append(f"{arm} {times:.1f} ({verdict})")
    return [
        f"Standard errors of seeds and of the {examples:,.0f} tests by which the mean accuracy "
        f"exceeds the {level:.1f} % of the majority class, of which more than {NEEDED} are wanted: "
        f"{', '.join(above)}.",
        _order(found),
    ]


def _order(found: dict[str, tuple[float, float]]) -> str:
    apart = []
    for one, other in itertools.combinations(sorted(found, key=lambda arm: -found[arm][0]), 2):
        gap = found[one][0] - found[other][0]
        if gap > NEEDED * math.hypot(found[one][1], found[other][1]):
            apart.append(f"{one} above {other}")
    shown = "; ".join(apart) or "none"
    pairs = math.comb(len(found), 2)
    return (
        f"Of the {pairs} pairs of models these differ by more than {NEEDED} standard errors of "
        f"their difference: {shown}. No other order is claimed, and none for models of other sizes."
    )


def setup_of(lab: Lab) -> str:
    """The tweets, and the models that were given: what is wrong with them is told before anything
    is trained.
    """
    models.rows(lab)
    for key in lab.given.models:
        models.start(lab, key, 0)
    given = ", ".join(f"{name} {directory}" for name, directory in lab.given.models.items())
    rates = (
        f" In place of what is pre-trained here: {given}, encoders at a rate of "
        f"{finetuning.GIVEN_ENCODER_RATE}, T5 at {finetuning.GIVEN_TEXT_RATE}."
    )
    return data.described(lab) + (rates if given else "")


PRETRAINING = (
    f"Each of the models is pre-trained for {models.STEPS:,} steps: BERT by masks and next "
    "sentences, RoBERTa by masks on full sentences, XLNet in random orders, "
    f"{models.LAYERS} layers each; T5 by span corruption, 2 layers and 2, inputs 64 and targets "
    f"16, Adafactor at {models.TEXT_RATE}, less and less in the second half. DistilBERT is every "
    "other layer of that BERT, which teaches it for as many steps more: "
    f"{models.TEACHER_WEIGHT:g} KL at temperature {models.TEMPERATURE:g} + "
    f"{models.TOKENS_WEIGHT:g} the loss of masks, without the cosine of hidden states. "
    f"{encoders.setup()} T5 has a SentencePiece of 3,996 pieces of the same text. The encoders' "
    f"rate is {models.ENCODER_RATE}."
)
FINETUNING = (
    f"Fine-tuned are all parameters, for {finetuning.STEPS} steps of {finetuning.BATCH_SIZE} "
    f"packed rows of {finetuning.LENGTH} tokens, dropout {finetuning.DROPOUT}, encoders by "
    f"AdamW at {finetuning.ENCODER_RATE} with a head of classes, T5 by Adafactor at "
    f"{finetuning.TEXT_RATE} to write `disaster` or `not_disaster`; the last checkpoint is "
    "tested."
)

EXPERIMENT = Experiment(
    key="tweets-models",
    title="Tweets of a disaster, told by five models",
    claim=(
        f"each model is more than {NEEDED} standard errors above the majority class; no order of "
        "the models"
    ),
    setup=(
        f"{PRETRAINING} {FINETUNING} Seed s is that of the pre-training and of the fine-tuning. "
        "TF-IDF and logistic regression are scikit-learn's with its own settings, fitted to the "
        "same training split. No other learning rate was tried on the test split."
    ),
    measure=measure,
    chart=Chart("accuracy", "accuracy of the test split, %"),
    metrics=METRICS,
    notes=notes,
    setup_of=setup_of,
)
