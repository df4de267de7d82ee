"""Every experiment by the name it has in the plan of measurements."""

from collections.abc import Sequence

from benchmarks.experiments import (
    adapters,
    architectures,
    ensembles,
    few_shot,
    in_context,
    language_model,
    mixture,
    pretraining,
    repetition,
    timing,
    transfer,
)
from benchmarks.experiments.experiment import Experiment

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
    )
}


def chosen(names: Sequence[str]) -> list[Experiment]:
    """Experiments by name, `all` for every one; each once, in the order of the catalogue.

    Raises:
        ValueError: there is none of that name.
    """
    from t5x_lite.config.errors import did_you_mean

    unknown = [name for name in names if name != "all" and name not in EXPERIMENTS]
    if unknown:
        hints = ", ".join(f"{name}{did_you_mean(name, EXPERIMENTS)}" for name in unknown)
        raise ValueError(
            f"There is no experiment {hints}; needed is all or {', '.join(EXPERIMENTS)}."
        )
    return [each for key, each in EXPERIMENTS.items() if key in names or "all" in names]
