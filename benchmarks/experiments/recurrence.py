"""D-1: does a memory between windows tell a pre-trained decoder more (Yoshida et al. 2020)?"""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.experiments import language_model, names
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import held_out_loss
from benchmarks.experiments.runs import Run

if TYPE_CHECKING:
    from t5x_lite.model.config import ModelConfig

TASK, RECALL = "experiments_wikitext_documents", "experiments_names"
WINDOW, LENGTH, STEPS, BATCH_SIZE = 32, 256, 200, 8
RECALL_STEPS, RECALL_BATCH_SIZE = 600, 64
NUM_QUESTIONS = 256
COST_LENGTHS, COST_ROUNDS = (256, 1024, 4096), 5
APART, MEMORY, FULL = "windows alone", "windows with a memory", "full attention"
_FILE = "finetuning/recurrence.gin"
_ALL = 1_000  # more batches than there is held-out text
_BYTE_IDS = 3 + 256
_LOGITS_BYTES = 2**20  # at a time, where costs are measured


def _recurrence(arm: str, window: int) -> dict[str, object]:
    """What is said of windows; both layers of a tiny GPT-2, the upper one, have to do with them."""
    if arm == FULL:
        return {"PACK": False}
    return {
        "RECURRENCE_WINDOW": window,
        "NUM_MEMORIES": 4 if arm == MEMORY else 0,
        "EXTRACT_LAYER": 1,
        "INSERT_LAYER": 1,
    }


def _files(arm: str, *recipes: str) -> tuple[str, ...]:
    return recipes if arm == FULL else (*recipes, _FILE)


def training(lab: Lab, arm: str, seed: int) -> Run:
    """The model of G-1, trained on with rows of one article each."""
    run = language_model.training(lab, seed)
    steps = lab.scale.steps(STEPS)
    return dataclasses.replace(
        run,
        name=f"recurrence/{arm.replace(' ', '_')}_seed_{seed}",
        steps=steps,
        settings={
            **run.settings,
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": {"targets": LENGTH},
            "BATCH_SIZE": BATCH_SIZE,
            "LEARNING_RATE": 0.001,
            "WARMUP_STEPS": max(1, steps // 10),
            "ScheduleConfig.total_steps": steps,
            "EVAL_PERIOD": steps,
            "EVAL_STEPS": lab.scale.steps(_ALL),
            **_recurrence(arm, WINDOW),
        },
        gin_files=_files(arm, *run.gin_files),
        start_from=run,
        fresh=True,
    )


def recalling(lab: Lab, arm: str, seed: int) -> Run:
    """From scratch, on texts whose answer stands in the window before."""
    steps = lab.scale.steps(RECALL_STEPS)
    return Run(
        f"recurrence/recall_{arm.replace(' ', '_')}_seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": RECALL,
            "TASK_FEATURE_LENGTHS": {"targets": 2 * names.WINDOW},
            "VOCAB_SIZE": -(-_BYTE_IDS // 128) * 128,
            # The ids of bytes: no byte-level BPE ends with them.
            "SpecialTokens.padding": 0,
            "SpecialTokens.start": 0,
            "SpecialTokens.end": 1,
            "SpecialTokens.unknown": 2,
            # Questions stand behind the start token, as they do while it is trained.
            "PromptConfig.start_token": True,
            "EMBED_DIM": 64,
            "MLP_DIM": 256,
            "HEAD_DIM": 16,
            # GPT-2's .02 suits a width of 768.
            "InitConfig.stddev": 0.125,
            "BATCH_SIZE": RECALL_BATCH_SIZE,
            "LEARNING_RATE_FACTORS": "constant * linear_warmup * linear_decay",
            "LEARNING_RATE": 0.003,
            "WARMUP_STEPS": max(1, steps // 10),
            "ScheduleConfig.total_steps": steps,
            "EVAL_STEPS": 1,
            "train_eval/DatasetConfig.split": "test",
            **_recurrence(arm, names.WINDOW),
        },
        gin_files=_files(arm, "recipes/pretrain.gin", "recipes/adamw.gin"),
        model_file="models/gpt2/tiny.gin",
        vocabulary=None,
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Held-out perplexity of every token, the share of answers that are right, and, once for each
    arm, what a training step costs.
    """
    for seed in seeds:
        for arm in (APART, MEMORY, FULL):
            run = training(lab, arm, seed)
            (*_, (_, loss)) = held_out_loss(lab, run, TASK)
            scores = {
                "perplexity": math.exp(loss),
                "recall": share_right(lab, recalling(lab, arm, seed)),
            }
            yield Record(arm, seed, scores | (costs(lab, run) if seed == seeds[0] else {}))


def share_right(lab: Lab, run: Run) -> float:
    """Per cent of answers that are right, by a trained model's likeliest next token of all."""
    import t5x_lite

    count = NUM_QUESTIONS if lab.scale.num_examples is None else lab.scale.num_examples
    model = t5x_lite.load(lab.train(run), batch_size=64)
    asked = [names.drawn("test", number) for number in range(count)]
    said = model.generate([prompt for prompt, _ in asked], max_decode_length=1)
    right = [text == answer for text, (_, answer) in zip(said, asked, strict=True)]
    return 100 * float(np.mean(right))


def costs(lab: Lab, run: Run) -> dict[str, float]:
    """Of the loss of one text and its gradients by a trained model whose positions, where all
    attend to all, are as many as the text has: seconds (median), memory that the compiled program
    needs beside its inputs, and FLOPs of matrix products.
    """
    from t5x_lite.checkpoints import pretrained
    from t5x_lite.model.config import LearnedPositionsConfig

    found: dict[str, float] = {}
    model = pretrained.describe(lab.train(run)).model
    # Else logits, which come in pieces where they are many, would hide what attention needs.
    compute = dataclasses.replace(model.compute, logits_bytes=_LOGITS_BYTES)
    model = dataclasses.replace(model, compute=compute)
    for length in COST_LENGTHS:
        assert model.decoder is not None, "a GPT-2 is a decoder"
        own = model
        if model.recurrence is None:
            positions = LearnedPositionsConfig(max_length=length)
            own = dataclasses.replace(
                model, decoder=dataclasses.replace(model.decoder, positions=positions)
            )
        each = _cost(own, length, rounds=lab.scale.steps(COST_ROUNDS))
        found |= {f"{name}_{length}": value for name, value in each.items()}
    return found


def _cost(model: "ModelConfig", length: int, *, rounds: int) -> Mapping[str, float]:
    import jax

    from t5x_lite.losses.config import LossConfig
    from t5x_lite.losses.table import make_loss
    from t5x_lite.model import flops, transformer

    loss = make_loss((LossConfig(),))

    def of_text(parameters: dict, batch: dict) -> jax.Array:
        outputs = transformer.apply(model, parameters, batch, wanted=loss.wanted)
        return loss(outputs, None, batch, training=True)[0]

    rng = np.random.default_rng(0)
    tokens = rng.integers(2, model.vocab_size, (1, length)).astype(np.int32)
    ones = np.ones_like(tokens)
    batch = {
        "decoder_input_tokens": tokens,
        "decoder_target_tokens": tokens,
        "decoder_loss_weights": ones,
        "decoder_segment_ids": ones,
    }
    parameters = transformer.init_parameters(model, jax.random.key(0))
    compiled = jax.jit(jax.value_and_grad(of_text)).lower(parameters, batch).compile()
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        jax.block_until_ready(compiled(parameters, batch))
        times.append(time.perf_counter() - began)
    needed: Any = compiled.memory_analysis()
    return {
        "seconds": float(np.median(times[1:])),
        "megabytes": needed.temp_size_in_bytes / 1e6,
        "gflops": flops.training_flops(model, {"decoder_input_tokens": (1, length)}) / 1e9,
    }


def _notes(records: Sequence[Record]) -> list[str]:
    chance = 100 / len(names.LETTERS)
    recall = {arm: by_seed(records, arm, "recall").values() for arm in (APART, MEMORY)}
    better = [
        by_seed(records, MEMORY, "perplexity")[seed] < value
        for seed, value in by_seed(records, APART, "perplexity").items()
    ]
    return [
        f"The perplexity with a memory is below that without in {sum(better)} of {len(better)} "
        f"seeds. Of letters of the window before the worst seed tells {min(recall[MEMORY]):.1f} % "
        f"right with a memory, the best {max(recall[APART]):.1f} % without; chance is "
        f"{chance:.1f} %."
    ]


EXPERIMENT = Experiment(
    key="D-1",
    title="A memory between windows",
    claim=(
        "with a memory the perplexity is below that of the same fine-tuning without, and a letter "
        "of the window before is told with it alone; cost grows in a line with the length, where "
        "that of full attention grows with its square"
    ),
    setup=(
        f"The GPT-2s of G-1 (d_model 128, 2 layers), {STEPS} steps more of {BATCH_SIZE} rows of "
        f"{LENGTH} tokens of one article each by AdamW: in windows of {WINDOW} tokens alone, in "
        "the same windows with 4 memories of the upper layer for the upper layer, back-propagated "
        f"through all 8 of a row, and with full attention over {LENGTH} tokens. No other learning "
        "rate, layer or number of memories was tried. Held out are all rows of the 60 articles of "
        "WikiText-2's valid file. Letters: "
        f"{RECALL_STEPS:,} steps of {RECALL_BATCH_SIZE} texts of two windows of {names.WINDOW} "
        "bytes from scratch, d_model 64, 2 layers; one letter stands somewhere in the first and is "
        f"asked for at the end of the second; {NUM_QUESTIONS} texts that are not trained on. Cost "
        "is that of the loss of one text and its gradients, by the model of the first seed, with "
        "logits in pieces of 1 MB; memory is what the compiled program needs beside its inputs."
    ),
    measure=measure,
    chart=Chart("perplexity", "held-out perplexity a token"),
    metrics={
        "perplexity": "held-out perplexity",
        "recall": "letters told, %",
        **{
            f"{name}_{length}": f"{label}, {length:,} tokens"
            for name, label in (("seconds", "s"), ("megabytes", "MB"), ("gflops", "GFLOPs"))
            for length in COST_LENGTHS
        },
    },
    comparisons=(Comparison(APART, MEMORY, "perplexity"), Comparison(FULL, MEMORY, "perplexity")),
    notes=_notes,
)
