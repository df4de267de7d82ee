"""Every experiment by the name it has in the plan of measurements."""

from collections.abc import Sequence

from benchmarks.experiments import (
    adapters,
    architectures,
    beams,
    eight_bits,
    ensembles,
    few_shot,
    hidden_states,
    in_context,
    language_model,
    locked,
    mixture,
    modes,
    pretraining,
    pruned,
    pruned_translation,
    recurrence,
    repetition,
    replaced,
    sentence_order,
    shallow,
    sharing,
    sundae,
    timing,
    transfer,
    two_stages,
)
from benchmarks.experiments.experiment import Experiment
from benchmarks.experiments.tweets import comparison, influences

EXPERIMENTS: dict[str, Experiment] = {
    each.key: each
    for each in (
        pretraining.EXPERIMENT,
        transfer.CLASSIFICATION,
        transfer.TRANSLATION,
        architectures.EXPERIMENT,
        repetition.EXPERIMENT,
        adapters.EXPERIMENT,
        mixture.EXPERIMENT,
        timing.EXPERIMENT,
        ensembles.EXPERIMENT,
        language_model.EXPERIMENT,
        in_context.EXPERIMENT,
        few_shot.EXPERIMENT,
        replaced.EXPERIMENT,
        sentence_order.EXPERIMENT,
        sharing.EXPERIMENT,
        pruned.EXPERIMENT,
        shallow.EXPERIMENT,
        two_stages.EXPERIMENT,
        eight_bits.EXPERIMENT,
        pruned_translation.EXPERIMENT,
        locked.EXPERIMENT,
        recurrence.EXPERIMENT,
        hidden_states.EXPERIMENT,
        modes.EXPERIMENT,
        beams.EXPERIMENT,
        sundae.EXPERIMENT,
        comparison.EXPERIMENT,
        influences.EXPERIMENT,
    )
}


def chosen(names: Sequence[str]) -> list[Experiment]:
    """Experiments by name or by what stands before a dash in it, `all` for every one; each once, in
    the order of the catalogue.

    Raises:
        ValueError: there is none of that name.
    """
    from t5x_lite.config.errors import did_you_mean

    found = {name: [key for key in EXPERIMENTS if _has(key, name)] for name in names}
    if unknown := [name for name, keys in found.items() if not keys]:
        hints = ", ".join(f"{name}{did_you_mean(name, EXPERIMENTS)}" for name in unknown)
        raise ValueError(
            f"There is no experiment {hints}; needed is all or {', '.join(EXPERIMENTS)}."
        )
    return [
        each for key, each in EXPERIMENTS.items() if any(key in keys for keys in found.values())
    ]


def _has(key: str, name: str) -> bool:
    return name in (key, "all") or key.startswith(f"{name}-")
