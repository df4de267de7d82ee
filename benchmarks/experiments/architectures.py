"""M-4: an encoder-decoder against a language model at equal cost (Raffel et al. 2020, table 2)."""

from collections.abc import Iterator, Sequence

from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record
from benchmarks.experiments.finetuning import LENGTHS, scores
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import held_out_loss
from benchmarks.experiments.runs import Run

TASK = "experiments_ende"
STEPS, BATCH_SIZE = 600, 8
ENCODER_DECODER = "encoder-decoder, 2 + 2 layers"
LANGUAGE_MODEL = "language model, 2 layers"
TARGETS_ONLY = "the same, loss of targets only"

# The names of their files and folders, and what a language model's loss counts.
ARMS = {
    ENCODER_DECODER: ("encoder_decoder", "encoder_decoder", None),
    LANGUAGE_MODEL: ("lm", "lm", None),
    TARGETS_ONLY: ("lm", "lm_targets", True),
}


def training(lab: Lab, arm: str, seed: int) -> Run:
    """From scratch on all pairs."""
    file, folder, targets_only = ARMS[arm]
    counted = {"DatasetConfig.loss_on_targets_only": True} if targets_only else {}
    return Run(
        f"architectures/{folder}_seed_{seed}",
        lab.scale.steps(STEPS),
        seed,
        {
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": LENGTHS,
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_STEPS": 8,
            **counted,
        },
        gin_files=(f"models/architectures/{file}.gin", "recipes/pretrain.gin"),
    ).decaying


def flops(lab: Lab, arm: str, *, head: bool) -> float:
    """10^9 floating point operations of one training step, with or without the logits."""
    from t5x_lite import config
    from t5x_lite.model import flops as model_flops
    from t5x_lite.model.config import ModelConfig

    files = ["models/t5_1_0/mini.gin", f"models/architectures/{ARMS[arm][0]}.gin"]
    model: ModelConfig = config.resolve(ModelConfig, files).config
    lengths = list(LENGTHS.values())
    if model.encoder is None:
        shapes = {"decoder_input_tokens": (BATCH_SIZE, sum(lengths))}
    else:
        shapes = {
            "encoder_input_tokens": (BATCH_SIZE, lengths[0]),
            "decoder_input_tokens": (BATCH_SIZE, lengths[1]),
        }
    rows, length = shapes["decoder_input_tokens"]
    logits = 3 * 2 * rows * length * model.embed_dim * model.vocab_size
    return (model_flops.training_flops(model, shapes) - (0 if head else logits)) / 1e9


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """BLEU, held-out loss and the cost of a step."""
    for seed in seeds:
        for arm in ARMS:
            run = training(lab, arm, seed)
            found = scores(lab, run, TASK)
            if arm != LANGUAGE_MODEL:  # whose loss is a mean over other tokens
                found["loss"] = held_out_loss(lab, run, TASK)[-1][1]
            found["gflops"] = flops(lab, arm, head=False)
            found["gflops_with_logits"] = flops(lab, arm, head=True)
            yield Record(arm, seed, found)


EXPERIMENT = Experiment(
    key="M-4",
    title="Encoder-decoder and language models at equal cost",
    claim="the encoder-decoder translates better than the language model; reported, not gated",
    setup=(
        f"{STEPS} steps of {BATCH_SIZE} packed rows from scratch on the 28,000 training pairs of "
        "Multi30k, inputs 64 and targets 64, which a language model of 2 layers reads as one row "
        "of 128. Its loss counts inputs and targets, as in the paper, or targets only. A stack of "
        "L layers over both parts costs about what L + L layers cost that read one part each, as "
        "in the paper; the logits of the input positions, which our language models compute in "
        "either case, come on top. BLEU on the 1,014 validation pairs, loss on 8 batches of "
        "held-out training pairs. The learning rate of M-3, no dropout."
    ),
    measure=measure,
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={
        "bleu": "BLEU",
        "loss": "held-out loss, nats",
        "gflops": "GFLOP a step without logits",
        "gflops_with_logits": "with them",
    },
    comparisons=(
        Comparison(LANGUAGE_MODEL, ENCODER_DECODER, "bleu"),
        Comparison(TARGETS_ONLY, ENCODER_DECODER, "bleu"),
        Comparison(TARGETS_ONLY, ENCODER_DECODER, "loss"),
    ),
)
