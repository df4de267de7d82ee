"""M-9: an ensemble against its members (Raffel et al. 2020, table 14 and section 3.6)."""

import itertools
from collections.abc import Iterator, Sequence

from benchmarks.experiments.experiment import Chart, Experiment, Record
from benchmarks.experiments.finetuning import ENDE, finetuning, scores
from benchmarks.experiments.lab import Lab

SIZE = 4
NAMES = ("single models", "ensembles of 2", "ensembles of 3", "ensemble of 4")


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """BLEU of each model, of disjoint pairs, of one triple and of all four together.

    The models are M-3's fine-tunings of its seeds, and as many more as make four.
    """
    from t5x_lite.evaluation.runs import read_run

    models = [finetuning(lab, ENDE, seed) for seed in range(SIZE)]
    for run in models:
        yield Record(NAMES[0], run.seed, scores(lab, run, ENDE))
    for members in ((0, 1), (2, 3), (0, 1, 2), (0, 1, 2, 3)):
        first, *others = (models[index] for index in members)
        name = "ensembles/" + "_".join(map(str, members))
        folder = lab.decode(first, ENDE, members=others, output=name)
        found = dict(read_run(folder).newest[ENDE].scores)
        yield Record(NAMES[len(members) - 1], members[0], found)


def _notes(records: Sequence[Record]) -> list[str]:
    singles = [record.scores["bleu"] for record in records if record.arm == NAMES[0]]
    (ensemble,) = (record.scores["bleu"] for record in records if record.arm == NAMES[-1])
    mean = sum(singles) / len(singles)
    above = sum(score >= ensemble for score in itertools.chain(singles))
    return [
        f"The ensemble of 4 has {ensemble:.2f} BLEU, the mean of its members {mean:.2f} "
        f"({ensemble - mean:+.2f}); {above} of the {len(singles)} members score as high or higher."
    ]


EXPERIMENT = Experiment(
    key="M-9",
    title="Ensembles",
    claim="an ensemble of 4 has at least the mean BLEU of its members",
    setup=(
        "The members are the pre-trained models of M-3 (seeds 0 to 2) and a fourth fine-tuning "
        "(seed 3, from M-1's seed 0); logits are averaged at every token, greedy decoding, the "
        "1,014 validation pairs. Two disjoint pairs, one triple, and all four."
    ),
    measure=measure,
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={"bleu": "BLEU"},
    notes=_notes,
)
