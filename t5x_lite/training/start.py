"""Where a run starts and where it ends."""

import dataclasses
import functools
from collections.abc import Collection, Sequence
from typing import Any, TypeGuard

import jax
from etils import epath

from t5x_lite.checkpoints import (
    description,
    folders,
    huggingface,
    lookup,
    multihost,
    pretrained,
    restoring,
)
from t5x_lite.checkpoints.formats.table import detect
from t5x_lite.checkpoints.plan import Report, Source
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.finetuning import additions, prompts
from t5x_lite.model.config import ModelConfig
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory, TrainState

DATASET = "dataset"
# Parts of a state that older checkpoints lack; they begin as in a fresh state.
_OPTIONAL = ("health",)
_PARAMETERS = "parameters/"
# What an initial checkpoint does not bring with RESTORE_OPTIMIZER=False.
_FRESH = (("optimizer_state/.*", None), ("step", None))
# Trees of a state with a leaf, or a folder of slots, for each parameter.
_PER_PARAMETER = ("parameters", "optimizer_state/param_states")


@dataclasses.dataclass(frozen=True)
class Start:
    """A state to train from, its step, the step to train to, the step that the run's initial
    checkpoint brought, and a sentence that says whence; `is_own` if the run continues; `dataset` is
    the folder with the positions of the data, if the run continues and its checkpoint has one.
    """

    state: TrainState
    first_step: int
    last_step: int
    initial_step: int
    source: str
    from_scratch: bool = False
    is_own: bool = False
    dataset: epath.Path | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the run was here before and made its last step."""
        return self.is_own and self.first_step == self.last_step

    @property
    def batches_done(self) -> int:
        """Batches that this run has trained on before it was interrupted."""
        return self.first_step - self.initial_step


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run starts from, before a tensor of it is read: a checkpoint, its own or the initial
    one, a Hugging Face directory, or nothing (`path` None). The rest is as in `Start`.
    """

    path: epath.Path | None
    first_step: int
    last_step: int
    initial_step: int
    source: str
    is_own: bool = False
    is_foreign: bool = False
    dataset: epath.Path | None = None


def start(config: TrainConfig, factory: StateFactory, *, launched_at: int | None = None) -> Start:
    """Takes the first that there is: the newest whole checkpoint in MODEL_DIR,
    INITIAL_CHECKPOINT_PATH, random parameters.

    As in T5X, INITIAL_CHECKPOINT_PATH brings optimizer slots and step along, unless
    RESTORE_OPTIMIZER is False; TRAIN_STEPS counts from zero all the same, TRAIN_STEPS_RELATIVE from
    the step it brings. A run that continues looks at its own checkpoint only: the initial one may
    be gone, or have been trained further. Damaged checkpoints in MODEL_DIR are moved aside; all
    processes must call.

    Args:
        launched_at: the step at which a run that rolls back was started; it wrote the checkpoints
            behind it, so the positions of its data are there also with RESTORE_DATASET=False.

    Raises:
        UserError: the run would train no step, or its model is not that of the checkpoint.
    """
    model, path = factory.model, config.restore.path

    def take(found: Origin) -> tuple[Origin, TrainState]:
        return found, _state(config, factory, found)

    newest = lookup.read_newest(
        config.model_dir,
        lambda own: take(_own(config, model, own, launched_at)),
        move_aside=True,
    )
    if newest is not None:
        found, state = newest
    elif _is_ours(path):
        found, state = lookup.read(path, lambda initial: take(_initial(config, model, initial)))
    else:
        found, state = take(_without_ours(config))
    step = int(state.step)
    if step != found.first_step:  # the map keeps it fresh, so this run counts from zero
        last_step = _last_step(config, step, initial_step=step, whence=found.path)
        found = dataclasses.replace(found, first_step=step, initial_step=step, last_step=last_step)
    return Start(
        state,
        found.first_step,
        found.last_step,
        found.initial_step,
        found.source,
        from_scratch=found.path is None,
        is_own=found.is_own,
        dataset=found.dataset,
    )


def find_origin(config: TrainConfig, model: ModelConfig) -> Origin:
    """What `start` takes, as far as sizes of files tell; reads no tensor and changes nothing.

    Raises:
        UserError: the run would train no step, or its model is not that of the checkpoint.
    """
    own, path = lookup.newest(config.model_dir), config.restore.path
    if own is not None:
        return _own(config, model, own, None)
    if _is_ours(path):
        return _initial(config, model, lookup.find(path))
    return _without_ours(config)


def _is_ours(path: str | None) -> TypeGuard[str]:
    """Whether an initial checkpoint is given and is no Hugging Face directory."""
    return path is not None and detect(path) is None


def _without_ours(config: TrainConfig) -> Origin:
    path, last_step = config.restore.path, _last_step(config, 0, initial_step=0)
    if path is None:
        return Origin(None, 0, last_step, 0, f"starts from scratch, seed {config.random_seed}")
    source = f"starts from the Hugging Face model {path}"
    return Origin(folders.absolute(path), 0, last_step, 0, source, is_foreign=True)


def check_origin(config: TrainConfig, factory: StateFactory, found: Origin) -> Report | None:
    """Compares names and shapes of all leaves with the checkpoint's; reads no tensor.

    Returns:
        What will become of every leaf, for a checkpoint of ours.

    Raises:
        UserError: they do not fit.
    """
    if found.path is None:
        return None
    if found.is_foreign:
        with pretrained.open_foreign(found.path, _foundation(found.path, factory.model)):
            return None
    return restoring.check(found.path, factory.abstract, **_how(config, factory.model, found))


def _own(
    config: TrainConfig, model: ModelConfig, own: epath.Path, launched_at: int | None
) -> Origin:
    initial_step, first_step = description.read(own).initial_step, folders.step_of(own)
    last_step = _last_step(config, first_step, initial_step=initial_step, whence=own)
    pretrained.check_own(own, model)
    wanted = config.restore.dataset or (launched_at is not None and first_step > launched_at)
    has_dataset = multihost.broadcast_result((own / DATASET).is_dir)
    dataset = own / DATASET if wanted and has_dataset else None
    source = f"continues from {own}"
    return Origin(own, first_step, last_step, initial_step, source, is_own=True, dataset=dataset)


def _initial(config: TrainConfig, model: ModelConfig, initial: epath.Path) -> Origin:
    given = config.restore
    step = folders.step_of(initial) if given.optimizer else 0
    last_step = _last_step(config, step, initial_step=step, whence=initial)
    if not given.is_partial:
        pretrained.check_initial(initial, model)
    kept = "what fits of " if given.is_partial else ""
    brought = "optimizer and step included" if given.optimizer else "its parameters only"
    source = f"starts from {kept}{initial}, {brought}"
    return Origin(initial, step, last_step, step, source)


def _state(config: TrainConfig, factory: StateFactory, found: Origin) -> TrainState:
    if found.path is None:
        return factory.initialize(config.random_seed)
    if found.is_foreign:
        before = _foundation(found.path, factory.model)
        with pretrained.open_foreign(found.path, before) as (_, parameters):
            added, unused = _changes(factory.model, before)
            _say_changes(added, unused)
            kept = additions.without(parameters, unused)
            state = factory.from_parameters(kept, seed=config.random_seed)
            return _with_prompt(state, added, config)
    reports: list[Report] = []
    state = restoring.restore(
        found.path,
        factory.abstract,
        **_how(config, factory.model, found),
        fresh=functools.partial(factory.fresh_leaves, config.random_seed),
        on_report=reports.append,
    )
    if found.is_own:
        return state
    added = [row.name for row in reports[0].of(Source.FRESH) if row.name.startswith(_PARAMETERS)]
    added = [name.removeprefix(_PARAMETERS) for name in added]
    if config.restore.is_partial:
        say(reports[0].table())
    else:
        _say_changes(added, _changes(factory.model, _foundation(found.path, factory.model))[1])
    state = _with_prompt(state, added, config)
    # Losses of another run, such as pre-training's, would make a spike of this one's first.
    return dataclasses.replace(state, health=factory.fresh_health())


def _how(config: TrainConfig, model: ModelConfig, found: Origin) -> dict[str, Any]:
    """How a checkpoint is read; a run's own is taken whole."""
    if found.is_own:
        return {"optional": _OPTIONAL}
    given = config.restore
    assert found.path is not None, "what is read has a path"
    fresh = () if given.optimizer else _FRESH
    added, unused = (
        [f"{tree}/{name}" for name in names for tree in _PER_PARAMETER]
        for names in _changes(model, _foundation(found.path, model, given.is_partial))
    )
    return {
        "assignment_map": (*fresh, *given.assignment_map),
        "strict": given.strict,
        "optional": (*_OPTIONAL, *added),
        "unused": unused,
    }


def _foundation(path: epath.Path, model: ModelConfig, is_partial: bool = False) -> ModelConfig:
    """The part of the model that an initial checkpoint has to hold; of one that does not say what
    it holds, or of which only a part is asked for, the model as it is pre-trained.
    """
    if is_partial:
        return model.plain
    if detect(path) is not None:
        return description.foundation(model, huggingface.read_config(path))
    if not description.read(path).model:
        return model.plain
    return description.foundation(model, description.model_of(path))


def _changes(model: ModelConfig, before: ModelConfig) -> tuple[list[str], list[str]]:
    """Paths of what is new, and of what is not used any more."""
    return additions.names(model, before), additions.left_over(model, before)


def _say_changes(added: Sequence[str], unused: Sequence[str]) -> None:
    if added:
        say(f"the checkpoint lacks {_count(added)}, new from here on: {', '.join(added)}")
    if unused:
        say(f"of the checkpoint {_count(unused)} are not used here: {', '.join(unused)}")


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} tensor{'' if len(names) == 1 else 's'}"


def _with_prompt(state: TrainState, added: Collection[str], config: TrainConfig) -> TrainState:
    """A prompt that the checkpoint lacks begins as vectors of its vocabulary."""
    if "prompt/embedding" not in added:
        return state
    key = jax.random.key(config.random_seed)
    parameters = prompts.from_vocabulary(state.parameters, key, config.model.special)
    return dataclasses.replace(state, parameters=parameters)


def _last_step(
    config: TrainConfig, first_step: int, *, initial_step: int, whence: epath.Path | None = None
) -> int:
    """The step at which the run ends: that of its own newest checkpoint if it is complete, else one
    behind the start.
    """
    if config.train_steps is not None:
        given, last_step = "TRAIN_STEPS", config.train_steps
    else:
        assert config.train_steps_relative is not None, "TrainConfig asks for one of the two"
        given, last_step = "TRAIN_STEPS_RELATIVE", initial_step + config.train_steps_relative
    is_own = whence is not None and whence.parent == folders.absolute(config.model_dir)
    if last_step > first_step or (is_own and last_step == first_step):
        return last_step
    fix = f"raise --gin.{given}"
    if is_own:
        fix += " to train on, or give another --gin.MODEL_DIR to start afresh"
    elif given == "TRAIN_STEPS":
        fix += f", or count from there with --gin.TRAIN_STEPS_RELATIVE={config.train_steps}"
    raise UserError(
        f"this run would train no step: it starts at step {first_step} (from {whence}) and {given} "
        f"ends it at step {last_step}. To fix it, {fix}."
    )
