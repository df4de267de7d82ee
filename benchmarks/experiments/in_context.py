"""G-2: does a tiny GPT-3 learn a map from a few pairs of it, without a gradient?"""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.experiments import maps
from benchmarks.experiments.experiment import Chart, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

TASK = "experiments_maps"
LENGTHS = {"targets": 2 * maps.NUM_PAIRS + 1}
STEPS, BATCH_SIZE = 6_000, 64
NUM_QUESTIONS = 500
_BYTE_IDS = 3 + 256

GPT3, TABLE = "GPT-3", "a table of the pairs shown"


def training(lab: Lab, seed: int) -> Run:
    """From scratch, by the recipe of GPT-3 with whole batches."""
    steps = lab.scale.steps(STEPS)
    return Run(
        f"maps/seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": LENGTHS,
            "VOCAB_SIZE": -(-_BYTE_IDS // 128) * 128,
            # The ids of bytes: no byte-level BPE ends with them.
            "SpecialTokens.padding": 0,
            "SpecialTokens.start": 0,
            "SpecialTokens.end": 1,
            "SpecialTokens.unknown": 2,
            "EMBED_DIM": 64,
            "MLP_DIM": 256,
            "NUM_HEADS": 4,
            "HEAD_DIM": 16,
            # The layer in the middle sees what a label stands behind, and nothing else.
            "NUM_DECODER_LAYERS": 3,
            "WINDOW": 2,
            # GPT-2's .02 suits a width of 768. Where a pair stands says nothing of it: with
            # positions as large as tokens no symbol was looked up in the first 1,000 steps.
            "InitConfig.stddev": 0.125,
            "InitConfig.positions_stddev": 0.001,
            "BATCH_SIZE": BATCH_SIZE,
            "BATCH_RAMP": None,
            "LEARNING_RATE": 0.003,
            "WEIGHT_DECAY": 0.0,
            "WARMUP_STEPS": max(1, steps // 50),
            "DECAY_STEPS": steps,
            "EVAL_PERIOD": max(1, steps // 6),
            "EVAL_STEPS": 4,
            "train_eval/DatasetConfig.split": "test",
        },
        gin_files=("recipes/gpt3_pretrain.gin",),
        model_file="models/gpt3/tiny.gin",
        vocabulary=None,
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """The share of questions that are answered right, by the number of pairs shown."""
    count = NUM_QUESTIONS if lab.scale.num_examples is None else lab.scale.num_examples
    for seed in seeds:
        found = accuracies(lab, training(lab, seed), count)
        yield Record(GPT3, seed, _scores(found), found)
    found = [(k, 100 * known(k)) for k in range(len(maps.SYMBOLS) + 1)]
    yield Record(TABLE, None, _scores(found), found)


def accuracies(lab: Lab, run: Run, count: int) -> list[tuple[int, float]]:
    """(pairs shown, % right) by a trained model's likeliest next token of all."""
    import t5x_lite

    model = t5x_lite.load(lab.train(run), batch_size=100)
    found = []
    for num_shown in range(len(maps.SYMBOLS) + 1):
        asked = [maps.question("test", number, num_shown) for number in range(count)]
        said = model.generate([prompt for prompt, _ in asked], max_decode_length=1)
        right = np.mean([text == label for text, (_, label) in zip(said, asked, strict=True)])
        found.append((num_shown, 100 * float(right)))
    return found


def known(num_shown: int) -> float:
    """How often one is right who remembers the pairs shown and guesses the labels of others."""
    share = num_shown / len(maps.SYMBOLS)
    return share + (1 - share) / len(maps.LABELS)


def _scores(found: Sequence[tuple[int, float]]) -> dict[str, float]:
    return {f"shown_{number}": value for number, value in found}


def _notes(records: Sequence[Record]) -> list[str]:
    models = [record.scores for record in records if record.arm == GPT3]
    first, last = "shown_0", f"shown_{len(maps.SYMBOLS)}"
    chance, least = 100 / len(maps.LABELS), min(scores[last] for scores in models)
    off = max(abs(scores[first] - chance) for scores in models)
    reached = "at least" if least >= 90 else "NOT at least"
    return [
        f"Without a pair the seeds are within {off:.1f} points of the {chance:.1f} % of chance; "
        f"with all {len(maps.SYMBOLS)} pairs shown the worst answers {least:.1f} % right, "
        f"{reached} 90 %."
    ]


EXPERIMENT = Experiment(
    key="G-2",
    title="Learning in context",
    claim="chance without a demonstration, at least 90 % right with eight, on maps never seen",
    setup=(
        f"{STEPS:,} steps of {BATCH_SIZE} sequences by GPT-3's recipe without batch ramp and "
        "weight decay, d_model 64, 3 layers, of which the second sees a token and the one before "
        "it and the others all, from scratch. A sequence has a map of its own from "
        f"{len(maps.SYMBOLS)} letters to {len(maps.LABELS)} digits, drawn at random, and shows "
        f"{maps.NUM_PAIRS} pairs of it, letter and digit by turns, the letters drawn again and "
        "again. Maps that are tested are in no sequence that is trained on. A question is K "
        f"different pairs of a map and one of its {len(maps.SYMBOLS)} letters, shown or not; "
        f"{NUM_QUESTIONS} for each K, answered by the likeliest next token of all. A table of the "
        "pairs shown guesses where the letter is not in it."
    ),
    measure=measure,
    chart=Chart("shown_8", "answers that are right, %", x="demonstrations K"),
    metrics={f"shown_{number}": f"K = {number}, %" for number in (0, 1, 2, 4, 8)},
    notes=_notes,
)
