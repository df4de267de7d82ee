"""M-2 and M-3: does pre-training help a classification and a translation of 2,000 examples?

One pre-training for each seed serves both. M-2 also starts from two earlier checkpoints of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.experiments.experiment import (
    Chart,
    Comparison,
    Experiment,
    Record,
    by_seed,
    difference,
)
from benchmarks.experiments.finetuning import (
    BATCH_SIZE,
    BUDGETS,
    ENDE,
    SST2,
    Budget,
    baseline,
    finetuning,
    scores,
)
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import BATCH_SIZE as PRETRAINING_BATCH_SIZE
from benchmarks.experiments.pretraining import LENGTHS as PRETRAINING_LENGTHS
from benchmarks.experiments.pretraining import held_out_loss
from benchmarks.experiments.runs import Run

TASK = "experiments_unlabelled"
STEPS = 12_000
LEARNING_RATE = 0.02
SCRATCH, PRETRAINED = "no pre-training", f"pre-trained for {STEPS:,} steps"
# What share of the pre-training's steps an arm starts behind, None for a random model.
ENDS: Mapping[str, float | None] = {SCRATCH: None, PRETRAINED: 1.0}
CURVE: Mapping[str, float | None] = {
    SCRATCH: None,
    "for 1,500 steps": 1 / 8,
    "for 6,000 steps": 1 / 2,
    PRETRAINED: 1.0,
}
TRANSLATION_BUDGET = Budget(1_500, 0.02)
COPY, MAJORITY = "the input, copied", "the most frequent answer"


def pretraining(lab: Lab, seed: int) -> Run:
    """Span corruption on text without labels, of the kinds that the two tasks read and write."""
    steps = lab.scale.steps(STEPS)
    period = max(1, steps // 8)
    return Run(
        f"unlabelled/seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": PRETRAINING_LENGTHS,
            "BATCH_SIZE": PRETRAINING_BATCH_SIZE,
            "LEARNING_RATE": LEARNING_RATE,
            "EVAL_PERIOD": period,
            "EVAL_STEPS": 20,
            "CHECKPOINT_PERIOD": period,
            "KEEP_CHECKPOINTS": steps // period + 1,
        },
    ).decaying


def tuned(lab: Lab, task: str, seed: int, share: float | None, budget: Budget | None = None) -> Run:
    """The fine-tuning of an arm."""
    if share is None:
        return finetuning(lab, task, seed, start=None, budget=budget)
    step = max(1, int(lab.scale.steps(STEPS) * share))
    start = pretraining(lab, seed)
    return finetuning(lab, task, seed, start=start, start_step=step, budget=budget)


def measure(
    task: str,
    trivial: tuple[str, str],
    arms: Mapping[str, float | None],
    budget: Budget | None = None,
) -> Callable[[Lab, Sequence[int]], Iterator[Record]]:
    """Every arm with every seed, then the baseline: its name here, and in the evaluation's file."""

    def measured(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
        for seed in seeds:
            for arm, share in arms.items():
                run = tuned(lab, task, seed, share, budget)
                loss = held_out_loss(lab, run, task)[-1][1]
                yield Record(arm, seed, scores(lab, run, task) | {"loss": loss})
        yield Record(trivial[0], None, baseline(lab, run, task, trivial[1]))

    return measured


def notes(metric: str, trivial: str) -> Callable[[Sequence[Record]], list[str]]:
    """Whether each of the two expectations was met."""

    def written(records: Sequence[Record]) -> list[str]:
        learned = [
            v for arm in (SCRATCH, PRETRAINED) for v in by_seed(records, arm, metric).values()
        ]
        (level,) = by_seed(records, trivial, metric).values()
        found = difference(records, Comparison(SCRATCH, PRETRAINED, metric))
        above = sum(value > level for value in learned)
        shown = "is there" if found.verdict == "higher" else "is not shown"
        return [
            f"{above} of {len(learned)} runs with all pre-training or none score above {trivial}. "
            f"The gain expected from pre-training {shown}: pre-trained minus without is {found}, "
            f"{found.verdict}."
        ]

    return written


_COMMON = (
    "The rate falls to zero over the second half; Adafactor, dropout 0.1, the last checkpoint, "
    "greedy decoding. Seed s starts from a pre-training of seed s, shared by "
    f"M-2 and M-3: span corruption for {STEPS:,} steps of {PRETRAINING_BATCH_SIZE} rows of 64 + 16 "
    "on WikiText-2, the sentences of SST-2's training set without their labels, and English and "
    "German sentences of Multi30k, of each pair one language only and none of the 2,000 pairs, "
    f"equally often; a learning rate of {LEARNING_RATE} that falls to zero over the second half. "
    "Its parameters are taken, the optimizer begins anew. The arm without pre-training makes the "
    "same fine-tuning steps on the same batches."
)

CLASSIFICATION = Experiment(
    key="M-2",
    title="Pre-training for SST-2 with 2,000 examples",
    claim="pre-training beats no pre-training on the same fine-tuning budget",
    setup=(
        f"{BUDGETS[SST2].steps} steps of {BATCH_SIZE} packed rows of 64 on 2,000 training "
        f"sentences, at a learning rate of {BUDGETS[SST2].learning_rate}; accuracy on the 872 "
        f"dev sentences. {_COMMON} Two arms start from earlier checkpoints of the pre-training."
    ),
    measure=measure(SST2, (MAJORITY, "most_frequent_target"), CURVE),
    chart=Chart(
        "accuracy",
        "accuracy on SST-2 dev, %",
        x={arm: STEPS * share for arm, share in CURVE.items() if share},
        x_label="steps of pre-training",
    ),
    metrics={"accuracy": "accuracy", "loss": "held-out loss, nats"},
    comparisons=(
        Comparison(SCRATCH, PRETRAINED, "accuracy"),
        Comparison(SCRATCH, PRETRAINED, "loss"),
    ),
    notes=notes("accuracy", MAJORITY),
)

TRANSLATION = Experiment(
    key="M-3",
    title="Pre-training for Multi30k English to German with 2,000 pairs",
    claim="BLEU above that of the copied source and above that without pre-training",
    setup=(
        f"{TRANSLATION_BUDGET.steps:,} steps of {BATCH_SIZE} packed rows of 64 + 64 on 2,000 "
        f"training pairs, at a learning rate of {TRANSLATION_BUDGET.learning_rate}; cased BLEU "
        "(sacrebleu, intl tokens) on the 1,014 validation pairs, "
        f"loss on held-out training pairs. {_COMMON} A first try made a third of the steps "
        "at half the rate: BLEU 3.9 without, 1.5 and 1.3 from 1,500 and 6,000 steps (seed 0), "
        "though the held-out loss fell from 3.83 to 3.63 and 3.41; none of them had learned to "
        "look at the source yet."
    ),
    measure=measure(ENDE, (COPY, "copy_input"), ENDS, TRANSLATION_BUDGET),
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={"bleu": "BLEU", "loss": "held-out loss, nats"},
    comparisons=(
        Comparison(SCRATCH, PRETRAINED, "bleu"),
        Comparison(SCRATCH, PRETRAINED, "loss"),
    ),
    notes=notes("bleu", COPY),
)
