"""D-4: what a wider beam does to a translation, and the same width where the length is a condition
(Stahlberg and Byrne 2019; Yoshida 2024).

A length has an exact conditional: no end before it, and the end then.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.experiments import modes, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Experiment, Record, arms
from benchmarks.experiments.lab import Lab

if TYPE_CHECKING:
    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.inference.text_model import TextModel

SHARE = 0.01  # of the targets that D-5's models learned from are empty
WIDTHS = (1, 4, 16, 64, 256)
PLAIN, PENALTY, CONDITIONAL = "plain beam", "alpha = 0.6", "length as a condition"
CUT = "plain beam, cut or lengthened"
SENTENCES = 100


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Each way of searching with each width; each a record, whose curve is BLEU over the width."""
    import t5x_lite

    asked = modes.asked(SENTENCES if lab.scale.num_examples is None else lab.scale.num_examples)
    for seed in seeds:
        folder = lab.train(modes.training(lab, SHARE, seed))
        model = t5x_lite.load(folder, batch_size=20)
        tasks_at_hand.register(lab)
        widths = WIDTHS if lab.scale.num_examples is None else WIDTHS[:2]
        yield from of_model(model, asked, seed, widths)


def of_model(
    model: "TextModel", asked: modes.Asked, seed: int, widths: Sequence[int]
) -> Iterator[Record]:
    """The four arms of a model."""
    found: dict[str, list[tuple[int, dict[str, float]]]]
    found = {arm: [] for arm in (PLAIN, PENALTY, CONDITIONAL, CUT)}
    for width in widths:
        for arm, numbers in _searched(model, asked, width).items():
            found[arm].append((width, numbers))
    for arm, every in found.items():
        scores = {
            f"{name}_{width}": value for width, numbers in every for name, value in numbers.items()
        }
        curve = [(float(np.log2(width)), numbers["bleu"]) for width, numbers in every]
        yield Record(arm, seed, scores, curve)


def _searched(model: "TextModel", asked: modes.Asked, width: int) -> dict[str, dict[str, float]]:
    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.decoding.strategies import BeamConfig

    beam = DecodingConfig(
        strategy=BeamConfig(beam_size=width, alpha=0.0), max_decode_length=modes.LENGTH
    )
    lengths = [min(len(model.tokenizer.encode(text)) + 1, modes.LENGTH) for text in asked.targets]
    plain = [each[0] for each in model.outputs(asked.inputs, beam)]
    penalty = model.outputs(
        asked.inputs, dataclasses.replace(beam, strategy=BeamConfig(beam_size=width))
    )
    conditional = model.outputs(asked.inputs, beam, lengths=lengths)
    cut = _to_length(model, asked, [each.ids for each in plain], lengths, beam)
    return {
        PLAIN: _numbers(asked, lengths, plain),
        PENALTY: _numbers(asked, lengths, [each[0] for each in penalty]),
        CONDITIONAL: _numbers(asked, lengths, [each[0] for each in conditional]),
        CUT: _numbers(asked, lengths, cut),
    }


def _to_length(
    model: "TextModel",
    asked: modes.Asked,
    written: Sequence[Sequence[int]],
    lengths: Sequence[int],
    beam: "DecodingConfig",
) -> list:
    """Each output cut to its length, or lengthened by the likeliest tokens that do not end it."""
    from t5x_lite.decoding.strategies import GreedyConfig
    from t5x_lite.inference.wishes import Wishes

    end = model.engine.special.end
    kept = [
        [token for token in ids if token != end][: length - 1]
        for ids, length in zip(written, lengths, strict=True)
    ]
    greedy = dataclasses.replace(beam, strategy=GreedyConfig())
    return [each[0] for each in model.outputs_of(asked.inputs, greedy, Wishes(kept, None, lengths))]


def _numbers(asked: modes.Asked, lengths: Sequence[int], outputs: Sequence) -> dict[str, float]:
    texts = [each.text for each in outputs]
    return {
        "bleu": modes.bleu_of(asked.targets, texts),
        "length": 100 * sum(len(each.ids) for each in outputs) / sum(lengths),
        "empty": 100 * float(np.mean([not text for text in texts])),
        "log_prob": float(np.mean([each.log_prob for each in outputs])),
    }


def _notes(records: Sequence[Record]) -> list[str]:
    widest = max(int(name.rpartition("_")[2]) for record in records for name in record.scores)
    known = {
        arm: {
            name: np.mean([r.scores[f"{name}_{widest}"] for r in records if r.arm == arm])
            for name in ("length", "empty", "log_prob")
        }
        for arm in arms(records)
    }
    return [
        f"At {widest} hypotheses the plain beam writes {known[PLAIN]['length']:.0f} % of the "
        f"references' tokens and nothing for {known[PLAIN]['empty']:.0f} % of the sources. With "
        "the reference's length as a condition the mean log-probability is "
        f"{known[CONDITIONAL]['log_prob']:.2f}; that of the plain beam's outputs cut or lengthened "
        f"to it {known[CUT]['log_prob']:.2f}."
    ]


EXPERIMENT = Experiment(
    key="D-4",
    title="Wide beams, and the length as a condition",
    claim=(
        "the wider a plain beam, the shorter and the emptier its outputs; of the same width with "
        "the length as a condition they keep it, and are likelier than those of the plain beam cut "
        "or lengthened to it"
    ),
    setup=(
        f"The models of D-5 of which {100 * SHARE:g} % of the targets were empty; the first "
        f"{SENTENCES} validation pairs; beams without a penalty of length, with alpha = 0.6, and "
        "with exactly as many tokens as the reference has; the plain beam's outputs cut to that "
        "many tokens, or lengthened by the likeliest tokens that do not end them. Cased BLEU."
    ),
    measure=measure,
    chart=Chart("bleu_256", "BLEU", x="log2 of the beam's width"),
    metrics={
        **{f"bleu_{width}": f"BLEU {width}" for width in WIDTHS},
        **{f"empty_{width}": f"empty {width}, %" for width in (4, 256)},
        **{f"length_{width}": f"length {width}, %" for width in (4, 256)},
        **{f"log_prob_{width}": f"log p {width}" for width in (4, 256)},
    },
    notes=_notes,
)
