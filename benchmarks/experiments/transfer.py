"""M-2 and M-3: does pre-training help a classification and a translation of 2,000 examples?

One pre-training for each seed serves both. What a longer one brings is measured too: the same
fine-tuning starts from some of its checkpoints.
"""

from collections.abc import Callable, Iterator, Sequence

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
    ENDE,
    ENDE_STEPS,
    SST2,
    SST2_STEPS,
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
# Of all steps: the last checkpoint and two earlier ones.
ARMS = {"for 1,500 steps": 1 / 8, "for 6,000 steps": 1 / 2, PRETRAINED: 1.0}
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


def arms(lab: Lab) -> dict[str, int | None]:
    """By the arm's name the step of pre-training that it starts from, None for none."""
    steps = lab.scale.steps(STEPS)
    return {SCRATCH: None} | {arm: max(1, int(steps * share)) for arm, share in ARMS.items()}


def measure(
    task: str, arm: str, name: str, *, long: bool = False
) -> Callable[[Lab, Sequence[int]], Iterator[Record]]:
    """Every arm with every seed, of a `long` fine-tuning the first and the last; a baseline."""

    def measured(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
        for seed in seeds:
            for pretrained, step in arms(lab).items():
                if long and pretrained not in (SCRATCH, PRETRAINED):
                    continue
                start = None if step is None else pretraining(lab, seed)
                run = finetuning(lab, task, seed, start=start, start_step=step, long=long)
                loss = held_out_loss(lab, run, task)[-1][1]
                yield Record(pretrained, seed, scores(lab, run, task) | {"loss": loss})
        yield Record(arm, None, baseline(lab, run, task, name))

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


_STEPS, _LABEL = {arm: STEPS * share for arm, share in ARMS.items()}, "steps of pre-training"
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
        f"{SST2_STEPS} steps of {BATCH_SIZE} packed rows of 64 on 2,000 training sentences, at a "
        f"learning rate of 0.01; accuracy on the 872 dev sentences. {_COMMON} Two arms start from "
        "earlier checkpoints of the pre-training."
    ),
    measure=measure(SST2, MAJORITY, "most_frequent_target"),
    chart=Chart("accuracy", "accuracy on SST-2 dev, %", x=_STEPS, x_label=_LABEL),
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
        f"{3 * ENDE_STEPS:,} steps of {BATCH_SIZE} packed rows of 64 + 64 on 2,000 training pairs, "
        "at a learning rate of 0.02; cased BLEU (sacrebleu, intl tokens) on the 1,014 validation "
        f"pairs, loss on held-out training pairs. {_COMMON} A first try made a third of the steps "
        "at half the rate: BLEU 3.9 without, 1.5 and 1.3 from 1,500 and 6,000 steps (seed 0), "
        "though the held-out loss fell from 3.83 to 3.63 and 3.41; none of them had learned to "
        "look at the source yet."
    ),
    measure=measure(ENDE, COPY, "copy_input", long=True),
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={"bleu": "BLEU", "loss": "held-out loss, nats"},
    comparisons=(
        Comparison(SCRATCH, PRETRAINED, "bleu"),
        Comparison(SCRATCH, PRETRAINED, "loss"),
    ),
    notes=notes("bleu", COPY),
)
