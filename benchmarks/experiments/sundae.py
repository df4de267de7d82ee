"""D-2: translations that are restored whole, step by step (Savinov et al. 2022; Ghazvininejad et
al. 2019), from an encoder that found masked tokens, beside one that writes token by token.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.experiments import corpora, encoders, modes, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import BILINGUAL, Lab
from benchmarks.experiments.runs import Run, Settings, Statement

if TYPE_CHECKING:
    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.inference.text_model import Output, TextModel

ENCODER_STEPS, STEPS = 4_000, 1_600
BATCH_SIZE, LEARNING_RATE, LENGTH = 8, 0.01, 64
LONGEST, SENTENCES = 48, 300
REFINING = (1, 2, 4, 8, 16)  # steps of decoding
STEPS_OF_BLEU = 10
TASK, OBJECTIVE = "experiments_bilingual", "masked_full_sentences"
FROM_ENCODER, FROM_SCRATCH = "SUNDAE, from an encoder", "SUNDAE, from scratch"
MASKS, WRITER = "mask-predict, from an encoder", "token by token, from an encoder"
_ONE_HEAD = {"HEADS": Statement("(@masked/HeadConfig(),)"), "POOLER": False}
_CORPUS = encoders.Corpus(
    TASK,
    BILINGUAL,
    "1,998",
    32,
    16,
    "28,000 captions of Multi30k in English and as many in German, 50 a text. Held out are its "
    "1,014 pairs for validation.",
)
_SPECIAL = {**encoders.SPECIAL, "SpecialTokens.mask": 4}


@dataclasses.dataclass(frozen=True)
class Arm:
    """How one of the models is made, and the strategy by which it writes."""

    name: str
    strategy: str
    settings: Settings
    recipe: str = "recipes/sundae.gin"
    begins_as_encoder: bool = True


ARMS = {
    each.name: each
    for each in (
        Arm(FROM_ENCODER, "sundae", {}),
        Arm(FROM_SCRATCH, "sundae", {}, begins_as_encoder=False),
        Arm(MASKS, "mask_predict", {"NOISE": "mask", "UNROLLED_STEPS": 1}),
        Arm(
            WRITER,
            "greedy",
            {**_ONE_HEAD, "DECODER_VISIBILITY": "causal"},
            recipe="recipes/supervised.gin",
        ),
    )
}


def encoder(lab: Lab, seed: int) -> Run:
    """What all but one begin as."""
    return encoders.pretraining(
        lab,
        f"sundae/encoder_seed_{seed}",
        seed,
        objective=OBJECTIVE,
        corpus=_CORPUS,
        model_file="models/bert/base.gin",
        recipe="encoder_pretrain",
        steps=ENCODER_STEPS,
        settings={**_ONE_HEAD, **_SPECIAL, "MAX_LENGTH": LENGTH, "LEARNING_RATE": 0.002},
    )


def training(lab: Lab, arm: str, seed: int) -> Run:
    """A translation of as many steps for each arm."""
    own, steps = ARMS[arm], lab.scale.steps(STEPS)
    files = ("models/encoder_denoiser.gin", own.recipe)
    is_denoiser = own.recipe == "recipes/sundae.gin"
    return Run(
        f"sundae/{own.strategy}_{'encoder' if own.begins_as_encoder else 'scratch'}_seed_{seed}",
        steps,
        seed,
        {
            **encoders.SIZES,
            **_SPECIAL,
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": {"inputs": LENGTH, "targets": LENGTH},
            "MAX_LENGTH": LENGTH,
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_STEPS": 8,
            "DROPOUT_RATE": 0.1,
            "LEARNING_RATE": LEARNING_RATE,
            **({"MAX_TARGET_LENGTH": LENGTH} if is_denoiser else {}),
            **own.settings,
        },
        gin_files=(*files, *(("recipes/from_encoder.gin",) if own.begins_as_encoder else ())),
        start_from=encoder(lab, seed) if own.begins_as_encoder else None,
        fresh=own.begins_as_encoder,
        model_file="models/bert/base.gin",
        vocabulary=BILINGUAL,
    ).decaying


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Each model of each seed."""
    import t5x_lite

    for seed in seeds:
        for arm in ARMS:
            folder = lab.train(training(lab, arm, seed))
            model = t5x_lite.load(folder, batch_size=50)
            tasks_at_hand.register(lab, BILINGUAL)
            count = SENTENCES if lab.scale.num_examples is None else lab.scale.num_examples
            scores, curve = scores_of(model, ARMS[arm].strategy, asked(model, count))
            yield Record(arm, seed, scores, curve)


def asked(model: "TextModel", count: int) -> modes.Asked:
    """The first validation pairs, as the vocabulary writes them: without capitals and accents."""
    pairs = corpora.translations("test")
    kept = [pair for pair in pairs if len(model.tokenizer.encode(pair["de"])) < LONGEST][:count]
    texts = [model.tokenizer.decode(model.tokenizer.encode(pair["de"])) for pair in kept]
    return modes.Asked([pair["en"] for pair in kept], texts)


def scores_of(
    model: "TextModel", strategy: str, asked: modes.Asked
) -> tuple[dict[str, float], list[tuple[float, float]]]:
    """BLEU of outputs whose lengths the model tells, sentences a second and passes of the decoder
    for each; and, given the lengths of the references, the share of tokens that are theirs after
    each number of steps.
    """
    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.decoding.strategies import strategy_of
    from t5x_lite.model import transformer

    is_refined = strategy != "greedy"
    own = {"num_steps": STEPS_OF_BLEU} if is_refined else {}
    common = DecodingConfig(strategy=strategy_of(strategy, **own), max_decode_length=LONGEST)
    outputs, seconds = _timed(model, asked, common)
    written = [len(each.ids) for each in outputs]
    scores = {
        "bleu": modes.bleu_of(asked.targets, [each.text for each in outputs]),
        "speed": len(outputs) / seconds,
        "passes": float(STEPS_OF_BLEU if is_refined else np.mean(written)),
        "parameters": transformer.num_parameters(model.engine.models.members[0]) / 1e3,
    }
    curve = []
    for steps in REFINING if is_refined else ():
        refined = strategy_of(strategy, num_steps=steps, num_lengths=1)
        decoding = dataclasses.replace(common, strategy=refined)
        share = 100 * token_accuracy(model, asked, decoding)
        scores[f"accuracy_{steps}"] = share
        curve.append((float(np.log2(steps)), share))
    return scores, curve


def _timed(
    model: "TextModel", asked: modes.Asked, decoding: "DecodingConfig"
) -> "tuple[list[Output], float]":
    """The second time, when all is compiled."""
    model.outputs(asked.inputs, decoding)
    began = time.perf_counter()
    outputs = [each[0] for each in model.outputs(asked.inputs, decoding)]
    return outputs, time.perf_counter() - began


def token_accuracy(model: "TextModel", asked: modes.Asked, decoding: "DecodingConfig") -> float:
    """Of the references' tokens the share that stands at its place, end tokens counted in."""
    end = model.engine.special.end
    references = [[*model.tokenizer.encode(text), end] for text in asked.targets]
    lengths = [len(each) for each in references]
    outputs = model.outputs(asked.inputs, decoding, lengths=lengths)
    same = [
        sum(one == other for one, other in zip(own[0].ids, reference))
        for own, reference in zip(outputs, references, strict=True)
    ]
    return sum(same) / sum(lengths)


def _notes(records: Sequence[Record]) -> list[str]:
    def mean(arm: str, metric: str) -> float:
        return float(np.mean(list(by_seed(records, arm, metric).values())))

    first, last = f"accuracy_{REFINING[0]}", f"accuracy_{REFINING[-1]}"
    rows = "; ".join(
        f"{arm}: {mean(arm, first):.1f} % of the tokens after one step and {mean(arm, last):.1f} % "
        f"after {REFINING[-1]}"
        for arm in (FROM_ENCODER, FROM_SCRATCH, MASKS)
    )
    return [
        f"{rows}. In {STEPS_OF_BLEU} passes BLEU is {mean(FROM_ENCODER, 'bleu'):.1f}, with masks "
        f"{mean(MASKS, 'bleu'):.1f}; token by token {mean(WRITER, 'bleu'):.1f} in "
        f"{mean(WRITER, 'passes'):.1f} passes a sentence."
    ]


EXPERIMENT = Experiment(
    key="D-2",
    title="Translations that are restored whole",
    claim=(
        "the share of right tokens rises with the steps of decoding; what begins as an encoder "
        "that found masked tokens is ahead of what begins from scratch; the decoder is called at "
        "most half as often as where tokens are written one by one, at a lower BLEU"
    ),
    setup=(
        f"{STEPS:,} steps of {BATCH_SIZE} packed rows of {LENGTH} + {LENGTH} on Multi30k English "
        "to German, Adafactor, dropout 0.1, a learning rate of "
        f"{LEARNING_RATE} that falls to zero over the second half; 2 + 2 layers of d_model 128. "
        f"But for one arm encoder and decoder begin with an encoder that found masked tokens for "
        f"{ENCODER_STEPS:,} steps: {encoders.setup(_CORPUS)} The first {SENTENCES} pairs of fewer "
        f"than {LONGEST} tokens: BLEU without capitals and accents in {STEPS_OF_BLEU} steps with 3 "
        "lengths that the model tells, greedy where it writes token by token; sentences a second "
        "on the same CPU, in batches of 50, beside whatever else the machine did; passes of the "
        "decoder, at most; tokens at their places where the length of the reference is given."
    ),
    measure=measure,
    chart=Chart("bleu", "BLEU of held-out pairs"),
    metrics={
        **{f"accuracy_{steps}": f"right tokens {steps}, %" for steps in REFINING},
        "bleu": "BLEU",
        "speed": "sentences/s",
        "passes": "passes",
        "parameters": "thousand parameters",
    },
    comparisons=(
        Comparison(FROM_SCRATCH, FROM_ENCODER, f"accuracy_{REFINING[-1]}"),
        Comparison(FROM_SCRATCH, FROM_ENCODER, "bleu"),
        Comparison(WRITER, FROM_ENCODER, "bleu"),
        Comparison(MASKS, FROM_ENCODER, "bleu"),
    ),
    notes=_notes,
)
