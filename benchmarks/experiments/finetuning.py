"""M-2 and M-3: does pre-training help a classification and a translation of 2,000 examples?"""

from collections.abc import Callable, Iterator, Sequence

from benchmarks.experiments.experiment import (
    Chart,
    Comparison,
    Experiment,
    Record,
    by_seed,
    difference,
)
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import STEPS as PRETRAINING_STEPS
from benchmarks.experiments.pretraining import pretraining
from benchmarks.experiments.runs import Run

NUM_PRETRAININGS = 3
LENGTHS = {"inputs": 64, "targets": 64}
SST2, ENDE = "experiments_sst2_2000", "experiments_ende_2000"
SST2_STEPS, ENDE_STEPS = 300, 500
BATCH_SIZE = 8
SCRATCH, PRETRAINED = "no pre-training", "pre-trained"
COPY, MAJORITY = "the input, copied", "the most frequent answer"

_SETTINGS = {
    SST2: {"TASK_FEATURE_LENGTHS": {"inputs": 64, "targets": 16}},
    ENDE: {"TASK_FEATURE_LENGTHS": LENGTHS},
}
_STEPS = {SST2: SST2_STEPS, ENDE: ENDE_STEPS}


def finetuning(lab: Lab, task: str, seed: int, *, from_pretrained: bool = True) -> Run:
    """A fine-tuning of all parameters; seeds beyond those of M-1 start from M-1's again."""
    start = pretraining(lab, seed % NUM_PRETRAININGS) if from_pretrained else None
    kind = "pretrained" if from_pretrained else "scratch"
    return Run(
        f"{task.removeprefix('experiments_')}/{kind}_seed_{seed}",
        lab.scale.steps(_STEPS[task]),
        seed,
        {
            "MIXTURE_OR_TASK_NAME": task,
            **_SETTINGS[task],
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_STEPS": 8,
            "DROPOUT_RATE": 0.1,
        },
        gin_files=("recipes/finetune.gin",),
        start_from=start,
    ).decaying


def scores(lab: Lab, run: Run, task: str) -> dict[str, float]:
    """What `t5x_lite eval` wrote about a task."""
    from t5x_lite.evaluation.runs import read_run

    return dict(read_run(lab.decode(run, task)).newest[task].scores)


def baseline(lab: Lab, run: Run, task: str, name: str) -> dict[str, float]:
    """`copy_input` or `most_frequent_target`: scores that need no model."""
    from t5x_lite import json_lines

    file = lab.decode(run, task) / "inference_eval" / f"{task}-baselines.json"
    return json_lines.read_lines(file)[0][name]


def measure(task: str, arm: str, name: str) -> Callable[[Lab, Sequence[int]], Iterator[Record]]:
    """Both arms with every seed, then the baseline."""

    def measured(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
        for seed in seeds:
            for from_pretrained in (False, True):
                run = finetuning(lab, task, seed, from_pretrained=from_pretrained)
                found = scores(lab, run, task)
                yield Record(PRETRAINED if from_pretrained else SCRATCH, seed, found)
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
            f"{above} of {len(learned)} runs score above {trivial}. The gain expected from "
            f"pre-training {shown}: pre-trained minus without is {found}, {found.verdict}."
        ]

    return written


_COMMON = (
    "Adafactor at a learning rate of 0.01 that falls to zero over the second half, dropout 0.1, "
    "the last checkpoint, greedy decoding. Seed s starts from M-1's seed s "
    f"({PRETRAINING_STEPS:,} steps of English WikiText-2); the arm without pre-training makes the "
    "same fine-tuning steps on the same batches."
)

CLASSIFICATION = Experiment(
    key="M-2",
    title="Pre-training for SST-2 with 2,000 examples",
    claim="pre-training beats no pre-training on the same fine-tuning budget",
    setup=(
        f"{SST2_STEPS} steps of {BATCH_SIZE} packed rows of 64 on 2,000 training sentences; "
        f"accuracy on the 872 dev sentences. {_COMMON}"
    ),
    measure=measure(SST2, MAJORITY, "most_frequent_target"),
    chart=Chart("accuracy", "accuracy on SST-2 dev, %"),
    metrics={"accuracy": "accuracy"},
    comparisons=(Comparison(SCRATCH, PRETRAINED, "accuracy"),),
    notes=notes("accuracy", MAJORITY),
)

TRANSLATION = Experiment(
    key="M-3",
    title="Pre-training for Multi30k English to German with 2,000 pairs",
    claim="BLEU above that of the copied source and above that without pre-training",
    setup=(
        f"{ENDE_STEPS} steps of {BATCH_SIZE} packed rows of 64 + 64 on 2,000 training pairs; "
        f"cased BLEU (sacrebleu, intl tokens) on the 1,014 validation pairs. {_COMMON}"
    ),
    measure=measure(ENDE, COPY, "copy_input"),
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={"bleu": "BLEU"},
    comparisons=(Comparison(SCRATCH, PRETRAINED, "bleu"),),
    notes=notes("bleu", COPY),
)
