"""Where a run starts and where it ends."""

import dataclasses
from collections.abc import Callable

from etils import epath

from t5x_lite.checkpoints import description, folders, huggingface, pretrained, whole
from t5x_lite.checkpoints.restoring import restore
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.progress import say
from t5x_lite.training.state import StateFactory, TrainState

DATASET = "dataset"
# Parts of a state that older checkpoints lack; they begin as in a fresh state.
_OPTIONAL = ("health",)


@dataclasses.dataclass(frozen=True)
class Start:
    """A state to train from, its step, the step to train to, the step that the run's initial
    checkpoint brought, and a sentence that says whence; `dataset` is the folder with the positions
    of the data, if the run continues and its checkpoint has one.
    """

    state: TrainState
    first_step: int
    last_step: int
    initial_step: int
    source: str
    from_scratch: bool = False
    dataset: epath.Path | None = None

    @property
    def batches_done(self) -> int:
        """Batches that this run has trained on before it was interrupted."""
        return self.first_step - self.initial_step


def start(config: TrainConfig, factory: StateFactory, *, launched_at: int | None = None) -> Start:
    """Takes the first that there is: the newest whole checkpoint in MODEL_DIR,
    INITIAL_CHECKPOINT_PATH, random parameters.

    As in T5X, INITIAL_CHECKPOINT_PATH brings optimizer slots and step along; TRAIN_STEPS counts
    from zero all the same, TRAIN_STEPS_RELATIVE from the step it brings. A run that continues looks
    at its own checkpoint only: the initial one may be gone, or have been trained further. Damaged
    checkpoints in MODEL_DIR are moved aside; all processes must call.

    Args:
        launched_at: the step at which a run that rolls back was started; it wrote the checkpoints
            behind it, so the positions of its data are there also with RESTORE_DATASET=False.

    Raises:
        ValueError: the run would train no step, or its model is not that of the checkpoint.
    """
    own = whole.newest(config.model_dir, sums=True, move_aside=True)
    if own is not None:
        return _continue(config, factory, own, launched_at)
    path = config.restore.path
    if path is None:
        last_step = _last_step(config, 0, initial_step=0)
        state, source = factory.initialize(config.random_seed), f"seed {config.random_seed}"
        return Start(state, 0, last_step, 0, f"starts from scratch, {source}", from_scratch=True)
    if huggingface.is_huggingface_directory(path):
        last_step = _last_step(config, 0, initial_step=0)
        with pretrained.open_huggingface(path, factory.model) as (_, parameters):
            state = factory.from_parameters(parameters)
        return Start(state, 0, last_step, 0, f"starts from the Hugging Face model {path}")
    return _start_from(config, factory, whole.find(path, sums=True))


def _continue(
    config: TrainConfig, factory: StateFactory, own: epath.Path, launched_at: int | None
) -> Start:
    initial_step, first_step = description.read(own).initial_step, folders.step_of(own)
    last_step = _last_step(config, first_step, initial_step=initial_step, whence=own)
    pretrained.model_for(own, factory.model)
    state = restore(own, factory.abstract, optional=_OPTIONAL, fresh=_fresh(config, factory))
    wanted = config.restore.dataset or (launched_at is not None and first_step > launched_at)
    dataset = own / DATASET if wanted and (own / DATASET).is_dir() else None
    source = f"continues from {own}"
    return Start(state, first_step, last_step, initial_step, source, dataset=dataset)


def _start_from(config: TrainConfig, factory: StateFactory, initial: epath.Path) -> Start:
    given, step = config.restore, folders.step_of(initial)
    last_step = _last_step(config, step, initial_step=step, whence=initial)
    if not given.is_partial:
        pretrained.model_for(initial, factory.model)
    state = restore(
        initial,
        factory.abstract,
        assignment_map=given.assignment_map,
        strict=given.strict,
        optional=_OPTIONAL,
        fresh=_fresh(config, factory),
        on_report=lambda report: say(report.table()) if given.is_partial else None,
    )
    if int(state.step) != step:  # the map keeps it fresh, so this run counts from zero
        step = int(state.step)
        last_step = _last_step(config, step, initial_step=step, whence=initial)
    # Losses of another run, such as pre-training's, would make a spike of this one's first.
    state = dataclasses.replace(state, health=factory.fresh_health())
    kept = "what fits of " if given.is_partial else ""
    source = f"starts from {kept}{initial}, optimizer and step included"
    return Start(state, step, last_step, step, source)


def _fresh(config: TrainConfig, factory: StateFactory) -> Callable[[], TrainState]:
    return lambda: factory.initialize(config.random_seed)


def _last_step(
    config: TrainConfig, first_step: int, *, initial_step: int, whence: epath.Path | None = None
) -> int:
    """The step at which the run ends, behind the one at which it starts."""
    if config.train_steps is not None:
        given, last_step = "TRAIN_STEPS", config.train_steps
    else:
        assert config.train_steps_relative is not None, "TrainConfig asks for one of the two"
        given, last_step = "TRAIN_STEPS_RELATIVE", initial_step + config.train_steps_relative
    if last_step > first_step:
        return last_step
    fix = f"raise --gin.{given}"
    if whence is not None and whence.parent == folders.absolute(config.model_dir):
        fix += " to train on, or give another --gin.MODEL_DIR to start afresh"
    elif given == "TRAIN_STEPS":
        fix += f", or count from there with --gin.TRAIN_STEPS_RELATIVE={config.train_steps}"
    raise ValueError(
        f"this run would train no step: it starts at step {first_step} (from {whence}) and {given} "
        f"ends it at step {last_step}. To fix it, {fix}."
    )
