"""M-9: an ensemble against its members (Raffel et al. 2020, table 14 and section 3.6)."""

import pathlib
from collections.abc import Iterator, Sequence

from benchmarks.experiments import tasks_at_hand
from benchmarks.experiments.experiment import Chart, Experiment, Record
from benchmarks.experiments.finetuning import ENDE, from_wikitext, scores
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import SCORED_SPLIT, Run
from t5x_lite.evaluation.config import StatisticsConfig

SIZE = 4
MEMBERS = ((0, 1), (2, 3), (0, 1, 2), (0, 1, 2, 3))
NAMES = ("single models", "ensembles of 2", "ensembles of 3", "ensemble of 4")


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """BLEU of each model, of disjoint pairs, of one triple and of all four together.

    The models are fine-tunings from M-1's seeds, and as many more as make four. What the ensemble
    of four gains over each of them has an interval by a paired bootstrap over the sentences.
    """
    from t5x_lite.evaluation.files import Scored
    from t5x_lite.evaluation.runs import read_run

    models = [from_wikitext(lab, ENDE, seed) for seed in range(SIZE)]
    together = {members: _folder(lab, models, members) for members in MEMBERS}
    tasks_at_hand.register(lab)
    for run in models:
        single = scores(lab, run, ENDE)
        yield Record(NAMES[0], run.seed, single | _gain(lab.folder(run), together[MEMBERS[-1]]))
    for members, folder in together.items():
        found = read_run(folder).newest[Scored(ENDE, SCORED_SPLIT)].scores
        yield Record(NAMES[len(members) - 1], members[0], {"bleu": found["bleu"]})


def _folder(lab: Lab, models: Sequence[Run], members: Sequence[int]) -> pathlib.Path:
    first, *others = (models[index] for index in members)
    name = "ensembles/" + "_".join(map(str, members))
    return lab.decode(first, ENDE, members=others, output=name)


def _gain(single: pathlib.Path, ensemble: pathlib.Path) -> dict[str, float]:
    from t5x_lite.evaluation.compare import compare, find
    from t5x_lite.evaluation.files import Scored

    every = compare(find(str(single)), find(str(ensemble)), StatisticsConfig())
    (found,) = every[Scored(ENDE, SCORED_SPLIT)]
    return {
        "gain": found.difference,
        "gain_low": found.interval.low,
        "gain_high": found.interval.high,
    }


def _notes(records: Sequence[Record]) -> list[str]:
    singles = [record.scores for record in records if record.arm == NAMES[0]]
    (ensemble,) = (record.scores["bleu"] for record in records if record.arm == NAMES[-1])
    mean = sum(single["bleu"] for single in singles) / len(singles)
    gains = ", ".join(
        f"{single['gain']:+.2f} [{single['gain_low']:+.2f}, {single['gain_high']:+.2f}]"
        for single in singles
    )
    return [
        f"The ensemble of 4 has {ensemble:.2f} BLEU, the mean of its members {mean:.2f} "
        f"({ensemble - mean:+.2f}). Over each of them it gains {gains} (95 % intervals of a paired "
        "bootstrap over the sentences)."
    ]


EXPERIMENT = Experiment(
    key="M-9",
    title="Ensembles",
    claim="an ensemble of 4 has at least the mean BLEU of its members",
    setup=(
        "The members are four fine-tunings (M-6's of all parameters, seeds 0 to 2; a fourth with "
        "seed 3 from M-1's seed 0); logits are averaged at every token, greedy decoding, the "
        "1,014 validation pairs. Two disjoint pairs, one triple, and all four."
    ),
    measure=measure,
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={"bleu": "BLEU"},
    notes=_notes,
)
