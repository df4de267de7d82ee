"""M-7: translation, classification and denoising in one model, mixed as the rates say."""

import collections
from collections.abc import Iterator, Sequence

from benchmarks.experiments import finetuning, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import TASK as DENOISING
from benchmarks.experiments.pretraining import held_out_loss
from benchmarks.experiments.runs import Run

MIXTURE = "experiments_mixture"
ENDE, SST2 = "experiments_ende", "experiments_sst2"
STEPS, BATCH_SIZE = 500, 8
LENGTHS = {"inputs": 64, "targets": 64}
NUM_DRAWS = 20_000
NAMES = {ENDE: "Multi30k", SST2: "SST-2", DENOISING: "denoising"}

# What the inputs of each task begin with; a document has a prefix of neither.
_PREFIXES = {ENDE: "translate English to German: ", SST2: "sst2 sentence: "}


def training(lab: Lab, seed: int) -> Run:
    """One model on the mixture, from scratch."""
    steps = lab.scale.steps(STEPS)
    return Run(
        f"mixture/seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": MIXTURE,
            "TASK_FEATURE_LENGTHS": LENGTHS,
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_PERIOD": max(1, steps // 5),
            "EVAL_STEPS": 8,
        },
    ).decaying


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """For each task its share of the examples, its held-out loss at the first evaluation and at the
    end, and its score beside that of a trivial answer.
    """
    computed = computed_shares(lab)
    for seed in seeds:
        run = training(lab, seed)
        realised = realised_shares(lab, seed)
        for task, name in NAMES.items():
            curve = held_out_loss(lab, run, task)
            found = {"computed": computed[task], "realised": realised[task]}
            found |= {"first_loss": curve[0][1], "loss": curve[-1][1]}
            yield Record(name, seed, found | _scores(lab, run, task), curve)


def _scores(lab: Lab, run: Run, task: str) -> dict[str, float]:
    if task == DENOISING:
        return {}
    (score,) = finetuning.scores(lab, run, task).values()
    kind = "copy_input" if task == ENDE else "most_frequent_target"
    (trivial,) = finetuning.baseline(lab, run, task, kind).values()
    return {"score": score, "trivial": trivial}


def computed_shares(lab: Lab) -> dict[str, float]:
    """min(examples, limit) of each task, normalized, in per cent."""
    import seqio

    from benchmarks.experiments.tasks import MIXTURE_LIMIT

    tasks_at_hand.register(lab)
    sizes = {
        task: seqio.TaskRegistry.get(task).num_input_examples("train")
        for task in (ENDE, SST2, DENOISING)
    }
    rates = {task: min(size, MIXTURE_LIMIT) for task, size in sizes.items()}
    return {task: 100 * rate / sum(rates.values()) for task, rate in rates.items()}


def realised_shares(lab: Lab, seed: int) -> dict[str, float]:
    """Of the first NUM_DRAWS examples that this seed's run reads, before packing, in per cent."""
    import seqio

    tasks_at_hand.register(lab)
    dataset = seqio.get_mixture_or_task(MIXTURE).get_dataset(
        LENGTHS, split="train", shuffle=True, seed=seed, num_epochs=None
    )
    vocabulary = seqio.get_mixture_or_task(MIXTURE).output_features["inputs"].vocabulary
    starts = {
        task: tuple(vocabulary.encode(prefix.strip())[:3]) for task, prefix in _PREFIXES.items()
    }
    by_start = {start: task for task, start in starts.items()}
    counts = collections.Counter(
        by_start.get(tuple(example["inputs"][:3].tolist()), DENOISING)
        for example in dataset.take(NUM_DRAWS).as_numpy_iterator()
    )
    return {task: 100 * counts[task] / NUM_DRAWS for task in (ENDE, SST2, DENOISING)}


def _notes(records: Sequence[Record]) -> list[str]:
    off = [abs(r.scores["realised"] - r.scores["computed"]) for r in records]
    expected = [r.scores["computed"] / 100 for r in records]
    errors = [100 * (share * (1 - share) / NUM_DRAWS) ** 0.5 for share in expected]
    worst = max(each / error for each, error in zip(off, errors))
    return [
        f"Of {NUM_DRAWS:,} draws the realised shares differ from the computed ones by at most "
        f"{max(off):.2f} percentage points, {worst:.1f} standard errors of independent draws."
    ]


EXPERIMENT = Experiment(
    key="M-7",
    title="A mixture of translation, classification and denoising",
    claim="one model learns all three, and examples come in the shares computed from the rates",
    setup=(
        f"{STEPS} steps of {BATCH_SIZE} packed rows of 64 + 64 from scratch on Multi30k (28,000 "
        "pairs), SST-2 (66,349 sentences) and span corruption of WikiText-2 (4,750 paragraphs), in "
        "proportion to examples with the limit K = 16,384. Losses are of 8 held-out batches, "
        "at a fifth of the training and at its end; BLEU and accuracy as in M-2 and M-3."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss, nats a target token", x="step"),
    metrics={
        "computed": "share, computed, %",
        "realised": "share, realised, %",
        "first_loss": "loss at a fifth",
        "loss": "loss at the end",
        "score": "BLEU or accuracy",
        "trivial": "copied input or most frequent answer",
    },
    notes=_notes,
)
