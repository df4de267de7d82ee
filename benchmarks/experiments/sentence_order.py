"""E-2: what is learned by telling the next sentence, and what by telling the order of two (Lan et
al. 2020, table 5).
"""

import dataclasses
from collections.abc import Iterator, Sequence

import scipy.stats

from benchmarks.experiments import encoders
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

STEPS, LEARNING_RATE = 6_000, 0.002
NSP, SOP = "next sentence", "sentence order"
OBJECTIVES = {NSP: "masked_ngrams_next_sentence", SOP: "masked_sentence_order"}
METRICS = {NSP: "nsp", SOP: "sop"}
CORPUS = encoders.SHORT_ARTICLES
_TERM = "ClassesLossConfig"


def training(lab: Lab, arm: str, seed: int) -> Run:
    """With chosen n-grams beside the class of each pair."""
    return encoders.pretraining(
        lab,
        f"sentences/{METRICS[arm]}_seed_{seed}",
        seed,
        objective=OBJECTIVES[arm],
        corpus=CORPUS,
        model_file="models/albert/base.gin",
        recipe="encoder_pretrain_pairs",
        steps=STEPS,
        settings={
            "TOKEN_DIM": 64,
            "LAYER_SHARING": "none",
            "LEARNING_RATE": LEARNING_RATE,
        },
    )


def asked(lab: Lab, arm: str, about: str, seed: int) -> Run:
    """The trained model asked about the pairs of the other objective: a step of a learning rate of
    0, for an evaluation comes behind it.
    """
    trained = training(lab, arm, seed)
    settings = {
        **trained.settings,
        "MIXTURE_OR_TASK_NAME": CORPUS.task(OBJECTIVES[about]),
        "LEARNING_RATE": 0.0,
        "AdamWConfig.weight_decay": 0.0,
        "EVAL_PERIOD": 1,
        "RESTORE_DATASET": False,
    }
    return dataclasses.replace(
        trained,
        name=f"{trained.name}_on_{METRICS[about]}",
        steps=1,
        settings=settings,
        start_from=trained,
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Accuracy of both classes of pairs, each model as it was pre-trained."""
    for seed in seeds:
        for arm, other in ((NSP, SOP), (SOP, NSP)):
            own = encoders.held_out(lab, training(lab, arm, seed))
            theirs = encoders.held_out(lab, asked(lab, arm, other, seed))[-1]
            scores = {
                METRICS[arm]: 100 * own[-1][f"{_TERM}/accuracy"],
                METRICS[other]: 100 * theirs[f"{_TERM}/accuracy"],
                "masked": own[-1]["cross_ent_loss"],
                "pairs": encoders.num_examples(lab, OBJECTIVES[other], CORPUS),
            }
            yield Record(arm, seed, scores)


def _notes(records: Sequence[Record]) -> list[str]:
    sentences = []
    for arm, metric in ((SOP, "sop"), (SOP, "nsp"), (NSP, "nsp"), (NSP, "sop")):
        values = [record.scores[metric] for record in records if record.arm == arm]
        count = round(min(r.scores["pairs"] for r in records if r.arm == arm))
        least = min(values)
        test = scipy.stats.binomtest(round(least / 100 * count), count, 0.5, "greater")
        verdict = "above" if test.pvalue < 0.01 else "not told from"
        sentences.append(
            f"trained on {arm}, {metric.upper()} {least:.1f} to {max(values):.1f} %, the least "
            f"{verdict} chance"
        )
    return [f"Of the seeds: {'; '.join(sentences)} (binomial test of the pairs, p < 0.01)."]


EXPERIMENT = Experiment(
    key="E-2",
    title="Next sentence and sentence order",
    claim=(
        "a model that learned the order of sentences tells both above chance, one that learned "
        "the next sentence tells the order no better than chance"
    ),
    setup=(
        f"{STEPS:,} steps of ALBERT's objectives, 2 layers that share nothing, token vectors of "
        f"64, a rate of {LEARNING_RATE}. {encoders.setup(CORPUS)} Each model is asked about the "
        "held-out pairs of both objectives as it was pre-trained: 1 is a random second text, or "
        "two texts that are swapped. No other learning rate was tried."
    ),
    measure=measure,
    chart=Chart("sop", "held-out accuracy of sentence order, %"),
    metrics={
        "nsp": "next sentence, %",
        "sop": "sentence order, %",
        "masked": "held-out loss of masked tokens, nats",
    },
    comparisons=(Comparison(NSP, SOP, "sop"), Comparison(SOP, NSP, "nsp")),
    notes=_notes,
)
