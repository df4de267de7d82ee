"""D-5: a share of empty targets, and what becomes of the mode (Yoshida 2024; Stahlberg and Byrne
2019).

A distractor that is a share eps of the data is the likeliest output of a perfect model as soon as
what is valid is spread over more than log2((1 - eps) / eps) bits: what a model writes when it
samples stays good, while its mode does not.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.experiments import corpora, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

if TYPE_CHECKING:
    from t5x_lite.inference.text_model import Output, TextModel

SHARES = corpora.EMPTY_SHARES
STEPS, BATCH_SIZE, LEARNING_RATE = 3_000, 16, 0.02
LENGTH = 64
SENTENCES, SAMPLES, NODES = 200, 10, 2_000
_THIRDS = 3
_PROMPT = "translate English to German: "


def threshold(share: float, distractors: int = 1) -> float:
    """Bits of what is valid, spread evenly, from which on one of so many distractors, together a
    `share` of the data, is the mode.

    >>> [round(threshold(share), 2) for share in (1e-3, 1e-6, 1e-9)]
    [9.96, 19.93, 29.9]
    """
    return math.log2((1 - share) * distractors / share)


def arm(share: float) -> str:
    """By its name."""
    return f"{100 * share:g} % of the targets empty"


def training(lab: Lab, share: float, seed: int) -> Run:
    """A translation from scratch; which targets are empty is the same for every seed."""
    steps = lab.scale.steps(STEPS)
    return Run(
        f"modes/{share:g}_seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": corpora.with_empty(share),
            "TASK_FEATURE_LENGTHS": {"inputs": LENGTH, "targets": LENGTH},
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_STEPS": 8,
            "DROPOUT_RATE": 0.1,
            "LEARNING_RATE": LEARNING_RATE,
        },
        gin_files=("recipes/supervised.gin",),
    ).decaying


@dataclasses.dataclass(frozen=True)
class Asked:
    """Sentences that were not trained on, with a translation of each that is not empty."""

    inputs: Sequence[str]
    targets: Sequence[str]

    @property
    def thirds(self) -> np.ndarray:
        """0, 1 or 2 for each: a third of them each, by the number of words."""
        lengths = [len(text.split()) for text in self.inputs]
        ranks = np.argsort(np.argsort(lengths, kind="stable"), kind="stable")
        return ranks * _THIRDS // len(lengths)


def asked(count: int) -> Asked:
    """The first of the validation pairs, in the order of their digests."""
    pairs = corpora.translations("test")[:count]
    return Asked([_PROMPT + pair["en"] for pair in pairs], [pair["de"] for pair in pairs])


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """What each model holds of the empty text, and what decoders make of that."""
    import t5x_lite

    sentences = asked(SENTENCES if lab.scale.num_examples is None else lab.scale.num_examples)
    for seed in seeds:
        for share in SHARES:
            model = t5x_lite.load(lab.train(training(lab, share, seed)), batch_size=40)
            tasks_at_hand.register(lab)
            scores, curve = scores_of(model, sentences, nodes=lab.scale.steps(NODES) + LENGTH)
            yield Record(arm(share), seed, scores, curve)


def scores_of(
    model: "TextModel", asked: Asked, *, nodes: int
) -> tuple[dict[str, float], list[tuple[float, float]]]:
    """All numbers, in percent but for BLEU and the share of searches; and the share of modes that
    are empty by the mean number of words of a third of the sentences.
    """
    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.decoding.strategies import BeamConfig, ExactConfig, SampleConfig

    common = DecodingConfig(max_decode_length=LENGTH)
    exact = dataclasses.replace(common, strategy=ExactConfig(max_nodes=nodes))
    drawn = dataclasses.replace(common, strategy=SampleConfig(), num_decodes=SAMPLES)
    beam = dataclasses.replace(common, strategy=BeamConfig(alpha=0.0))
    empty = np.exp(model.score(asked.inputs, [""] * len(asked.inputs)))
    modes = _firsts(model, asked, exact)
    is_empty = np.array([not each.text for each in modes])
    # What was found is the mode, or is no more than what was found; an empty one that was not shown
    # to be it may yet be beaten.
    is_open = np.array([each.score > each.log_prob for each in modes]) & is_empty
    samples = [each.text for own in model.outputs(asked.inputs, drawn) for each in own]
    lengths = [len(model.tokenizer.encode(text)) + 1 for text in asked.targets]
    kept = [n for n, length in enumerate(lengths) if length <= LENGTH]
    own = model.outputs(
        [asked.inputs[n] for n in kept],
        dataclasses.replace(common, strategy=BeamConfig(beam_size=16)),
        lengths=[lengths[n] for n in kept],
    )
    scores = {
        "p_empty": 100 * float(np.mean(empty)),
        "modes_empty": 100 * float(np.mean(is_empty & ~is_open)),
        "modes_open": 100 * float(np.mean(is_open)),
        "samples_empty": 100 * float(np.mean([not text for text in samples])),
        "greedy": bleu_of(asked.targets, [each.text for each in _firsts(model, asked, common)]),
        "beam": bleu_of(asked.targets, [each.text for each in _firsts(model, asked, beam)]),
        "mode": bleu_of(asked.targets, [each.text for each in modes]),
        "of_length": bleu_of([asked.targets[n] for n in kept], [each[0].text for each in own]),
    }
    words = np.array([len(text.removeprefix(_PROMPT).split()) for text in asked.inputs])
    thirds = [asked.thirds == number for number in range(_THIRDS)]
    curve = [
        (float(np.mean(words[third])), 100 * float(np.mean((is_empty & ~is_open)[third])))
        for third in thirds
    ]
    return scores, curve


def _firsts(model: "TextModel", asked: Asked, decoding: object) -> "list[Output]":
    from t5x_lite.decoding.config import DecodingConfig

    assert isinstance(decoding, DecodingConfig)
    return [each[0] for each in model.outputs(asked.inputs, decoding)]


def bleu_of(targets: Sequence[str], texts: Sequence[str]) -> float:
    """Cased, of a corpus."""
    from t5x_lite.metrics.bleu import bleu

    return float(bleu(list(targets), list(texts))["bleu"])


def _notes(records: Sequence[Record]) -> list[str]:
    sentences = []
    for share in SHARES[1:]:
        held, modes, drawn = (
            by_seed(records, arm(share), metric).values()
            for metric in ("p_empty", "modes_empty", "samples_empty")
        )
        sentences.append(
            f"with {100 * share:g} % of the targets empty, by the formula the mode of what is "
            f"spread over more than {threshold(share):.1f} bits, models hold an empty text for "
            f"{min(held):.2g} to {max(held):.2g} % likely and write one in {min(drawn):.2g} to "
            f"{max(drawn):.2g} % of the samples, and of their modes {min(modes):.0f} to "
            f"{max(modes):.0f} % are empty"
        )
    text = "; ".join(sentences)
    return [f"{text[0].upper()}{text[1:]}."]


EXPERIMENT = Experiment(
    key="D-5",
    title="Why modes are bad",
    claim=(
        "a share of empty targets is what a model holds an empty text to be likely, and what it "
        "samples; the share of modes that are empty is far larger, and grows with the sentence"
    ),
    setup=(
        f"{STEPS:,} steps of {BATCH_SIZE} packed rows of {LENGTH} + {LENGTH} on Multi30k English "
        "to German from scratch, Adafactor, dropout 0.1, a learning rate of "
        f"{LEARNING_RATE} that falls to zero over the second half. Of the training pairs a share "
        "has an empty target, chosen by a digest of the source. The first "
        f"{SENTENCES} validation pairs: the likelihood of the empty text; the mode by depth-first "
        f"search of at most {NODES + LENGTH:,} prefixes (what was empty by then and not shown to "
        f"be the mode is counted as open, not as empty); {SAMPLES} samples of each; cased BLEU of "
        "the greedy text, of a beam of 4 without a penalty of length, of the mode, and of the best "
        "of a beam of 16 that has as many tokens as the reference."
    ),
    measure=measure,
    chart=Chart("modes_empty", "modes that are empty, %", x="words of the source"),
    metrics={
        "p_empty": "p(empty), %",
        "samples_empty": "samples empty, %",
        "modes_empty": "modes empty, %",
        "modes_open": "open, %",
        "greedy": "BLEU greedy",
        "beam": "beam 4",
        "mode": "mode",
        "of_length": "of the reference's length",
    },
    comparisons=tuple(Comparison(arm(0.0), arm(share), "greedy") for share in SHARES[1:]),
    notes=_notes,
)
