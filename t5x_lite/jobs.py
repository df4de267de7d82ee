"""From parsed flags to a job that is ready to run: checked, tasks registered, processes met.

What can be wrong is found in the order of its price: gin files and flags in a fraction of a second,
then tasks and vocabularies, and only then are other processes waited for. Heavy imports stand
inside the functions, so that a mistake in a gin file does not wait for them.
"""

import argparse
import dataclasses
import functools
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from etils import epath

from t5x_lite import config, own_files, registration
from t5x_lite.data.config import DatasetConfig, FewShotConfig
from t5x_lite.errors import UsageError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import InferConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.places import check_place
from t5x_lite.records.config import RecordsConfig
from t5x_lite.training.config import TrainConfig

Job = TypeVar("Job", TrainConfig, EvalConfig, InferConfig)


def resolve(root: type[Job], arguments: argparse.Namespace) -> config.Resolved[Job]:
    """The configuration that flags and gin files make, and all modules it names found."""
    arguments.gin_bindings = [*own_files.bindings(arguments), *arguments.gin_bindings]
    assumed: _Assumed = _assumed(root, arguments)
    own: list[tuple[str, str]] = own_files.overrides(
        _in_files(arguments),
        config.defined_by([], overrides=arguments.gin_bindings),
        assumed.facts,
        trains=root is TrainConfig,
    )
    if not arguments.gin_file and not assumed.gin_files:
        needed = (
            "a checkpoint, such as --gin.CHECKPOINT_PATH=/runs/one, or a recipe, such as "
            f"--gin_file=recipes/{_kind(arguments)}.gin"
        )
        if root is TrainConfig:
            recipe = "--gin_file=recipes/pretrain.gin"
            needed = f"a model and a recipe, such as --gin_file=models/t5_1_1/small.gin {recipe}"
        raise UsageError(f"t5x_lite {arguments.command} needs {needed}")
    resolved: config.Resolved[Job] = config.resolve(
        root,
        [*assumed.gin_files, *arguments.gin_file],
        overrides=[*assumed.overrides, *own, *arguments.gin_bindings],
        search_paths=arguments.gin_search_paths,
        imports=[*assumed.imports, *registration.flag_imports(arguments)],
    )
    registration.refuse_missing(_task_modules(resolved.config))
    if assumed.facts and not arguments.process_index:
        facts = ", ".join(f"{name}={value!r}" for name, value in assumed.facts.items())
        comment = "# " if getattr(arguments, "dry_run", False) else ""
        print(f"{comment}As the checkpoint says: {assumed.gin_files[0]}, {facts}", flush=True)
    return resolved


def _kind(arguments: argparse.Namespace) -> str:
    """train, eval or infer: the command itself, or the job that `check` looks at."""
    return getattr(arguments, "job", arguments.command)


@dataclasses.dataclass(frozen=True)
class _Assumed:
    """What a command line that names a checkpoint need not say: the recipe, macros, modules; and
    which split its run evaluated, decoding how many tokens, if it says.
    """

    gin_files: tuple[str, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    imports: tuple[config.Import, ...] = ()
    evaluated_split: str | None = None
    evaluated_length: int | None = None

    @property
    def overrides(self) -> list[tuple[str, str]]:
        """The facts as flags."""
        return [("what the checkpoint says", f"{key}={val!r}") for key, val in self.facts.items()]


def _assumed(root: type[Job], arguments: argparse.Namespace) -> _Assumed:
    """`eval` and `infer` need only a checkpoint: where no gin file says anything of the job itself,
    the recipe is ours, and what it requires is what the checkpoint says of its run. Files and flags
    override each of it.
    """
    flags, in_files = arguments.gin_bindings, _in_files(arguments)
    if root is TrainConfig or is_of(root, arguments):
        return _Assumed()
    given = in_files | config.defined_by([], overrides=flags)
    reads_file = "INPUT_FILE" in given
    recipe = f"recipes/{_kind(arguments)}{'_file' if reads_file else ''}.gin"
    path = given.get("CHECKPOINT_PATH")
    if not isinstance(path, str):
        return _Assumed((recipe,) if arguments.gin_file else ())
    check_place("CHECKPOINT_PATH", path)
    output_dir = f"{_kind(arguments).upper()}_OUTPUT_DIR"
    said: _Assumed = _said_by(path, output_dir)
    facts = {name: value for name, value in said.facts.items() if name not in given}
    if reads_file:
        return _Assumed((recipe,), {name: facts[name] for name in facts if name == output_dir})
    task, module = ({**facts, **given}.get(name) for name in _OF_THE_DATA[:2])
    stored = facts.get("MIXTURE_OR_TASK_MODULE")
    registration.announce_imports(
        [*(each.module for each in said.imports), stored], path, arguments
    )
    own_data = "DATA" in facts or "DATA" in given
    if "DATA" in facts:
        facts.setdefault("SPLIT", own_files.HELD_OUT)
    if isinstance(task, str) and "SPLIT" not in given and not own_data:
        modules = [*said.imports, *registration.flag_imports(arguments)]
        if isinstance(module, str):
            modules.append(config.named_by_flag(module, "MIXTURE_OR_TASK_MODULE"))
        # `infer` is for what was not looked at while training.
        evaluated = said.evaluated_split if root is EvalConfig else None
        split = _split_of(task, path, arguments, modules, evaluated)
        facts |= {"SPLIT": split} if split else {}
    if not {"MAX_DECODE_LENGTH", "DecodingConfig.max_decode_length"} & given.keys():
        length = _decode_length(root, said, {**facts, **given}.get("TASK_FEATURE_LENGTHS"))
        facts |= {"MAX_DECODE_LENGTH": length} if length else {}
    return _Assumed((recipe,), facts, said.imports)


def is_of(root: type[Job], arguments: argparse.Namespace) -> bool:
    """Whether a gin file says anything of such a job itself, as its recipes do."""
    return any(name.startswith(f"{root.__name__}.") for name in _in_files(arguments))


def _in_files(arguments: argparse.Namespace) -> dict[str, object]:
    return config.defined_by(arguments.gin_file, search_paths=arguments.gin_search_paths)


def _decode_length(root: type[Job], said: _Assumed, lengths: object) -> int | None:
    """As long as the run's own evaluations, so that answers are the same; for other examples as
    long as the targets that it learned from.
    """
    if root is EvalConfig:
        return said.evaluated_length
    return lengths.get("targets") if isinstance(lengths, Mapping) else None


def _said_by(path: str, output_dir: str) -> _Assumed:
    """Macros and modules of the run that wrote a checkpoint; a Hugging Face directory has none."""
    from t5x_lite.checkpoints import pretrained

    found = pretrained.describe(_one_checkpoint(path))
    if found.description is None:
        return _Assumed()
    data = found.description.dataset
    facts = {name: _as_tuple(data[name.lower()]) for name in _OF_THE_DATA if data.get(name.lower())}
    imports = config.imports_in(found.description.operative_config, str(found.path))
    facts |= {output_dir: str(found.path.parent)}
    evaluated = data.get("evaluated_split"), data.get("evaluated_length")
    return _Assumed((), facts, imports, *evaluated)


def _as_tuple(value: Any) -> Any:
    """As it was before it was JSON."""
    return tuple(value) if isinstance(value, list) else value


_OF_THE_DATA = (
    "MIXTURE_OR_TASK_NAME",
    "MIXTURE_OR_TASK_MODULE",
    "TASK_FEATURE_LENGTHS",
    "TASK_FILES",
    *own_files.MACROS.values(),
)


def _split_of(
    task: str,
    path: str,
    arguments: argparse.Namespace,
    imports: Sequence[config.Import],
    evaluated: str | None,
) -> str | None:
    """The split that a task is evaluated on: the one `evaluated` while training, if it has that;
    what registers the task has to be imported for it.
    """
    registration.refuse_missing(imports)
    registration.prepare_data(arguments, imports, _vocabulary_carried_by(path))
    from t5x_lite.data.checks import held_out_split

    return held_out_split(task, first=evaluated)


def _one_checkpoint(path: str) -> str:
    """For MODEL_DIR/best, which is one for each task, the model directory."""
    folder = epath.Path(path)
    return str(folder.parent) if folder.name == "best" and not folder.exists() else path


def start(
    root: type[Job], arguments: argparse.Namespace, function: str
) -> config.Resolved[Job] | None:
    """The checked configuration, all that it needs at hand; None if --dry_run only shows it."""
    resolved = resolve(root, arguments)
    if arguments.dry_run:
        # What is printed is itself a gin file that gives this configuration.
        words = shlex.join(["t5x_lite", *arguments.words]).replace("\n", " ")
        print(f"# Complete: {words}")
        print(f"# would call {function}.")
        print(f"# Read, each overridden by the next: {', '.join(resolved.files)}")
        print(resolved.operative_config, end="")
        return None
    if arguments.cpu_devices is not None:
        from t5x_lite.partitioning.devices import simulate_cpu_devices

        simulate_cpu_devices(arguments.cpu_devices)
    elif root is TrainConfig:
        from t5x_lite.partitioning import host_memory

        host_memory.compute_in_calling_thread()
    if datasets(resolved.config):  # else a file is read: no task, so no TensorFlow
        prepare_job_data(resolved, arguments)
        if resolved.config.model is not None:
            _check_datasets(
                resolved.config, resolved.config.model, process_count=arguments.process_count or 1
            )
    _join_processes(arguments, resolved)
    return resolved


def datasets(job: Job) -> dict[str, DatasetConfig]:
    """What a job reads, by what it is for."""
    if not isinstance(job, TrainConfig):
        return {} if job.dataset is None else {"examples": job.dataset}
    found = {
        "train": job.dataset,
        "held out": job.eval_dataset,
        "decoded": job.infer_eval_dataset,
    }
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def prepare_job_data(resolved: config.Resolved[Job], arguments: argparse.Namespace) -> None:
    """`prepare_data` with what a job's configuration says."""
    vocabulary, records = vocabulary_of(resolved.config), records_of(resolved.config)
    if vocabulary is None and records.paths is not None:
        raise own_files.no_vocabulary(records, resolved.config.model)
    registration.prepare_data(
        arguments,
        imports_of(resolved),
        vocabulary,
        flag="--gin.VOCABULARY",
        task_files=task_files_of(resolved.config),
        few_shot=few_shot_of(resolved.config),
        records=records,
    )


def imports_of(resolved: config.Resolved[Job]) -> list[config.Import]:
    """The modules that register a job's tasks."""
    return [*resolved.imports, *_task_modules(resolved.config)]


def vocabulary_of(job: Job) -> str | None:
    """The vocabulary that a job names, else the one its checkpoint carries."""
    first = next(iter(datasets(job).values()))
    return first.vocabulary or _vocabulary_of_initial_model(job)


def task_files_of(job: Job) -> str | None:
    """The folders of original files that a job names."""
    named = (dataset.task_files for dataset in datasets(job).values())
    return next((each for each in named if each is not None), None)


def few_shot_of(job: Job) -> FewShotConfig:
    """How a job's prompts are demonstrated; one process has one way, that of what it decodes."""
    found = [dataset.few_shot for dataset in datasets(job).values()]
    return found[-1] if found else FewShotConfig()


def records_of(job: Job) -> RecordsConfig:
    """The files of one's own that a job reads."""
    found = (dataset.records for dataset in datasets(job).values())
    return next(found, RecordsConfig())


def _task_modules(job: Job) -> list[config.Import]:
    modules = dict.fromkeys(dataset.module for dataset in datasets(job).values())
    return [
        config.named_by_flag(name, "MIXTURE_OR_TASK_MODULE") for name in modules if name is not None
    ]


def of_autopsy(arguments: argparse.Namespace) -> TrainConfig:
    """The job of an autopsy's step, devices and processes at hand; no task is registered."""
    file = epath.Path(arguments.autopsy) / "config.gin"
    if not file.exists():
        raise UsageError(
            f"{arguments.autopsy} is no autopsy: it has no config.gin. Needed is a folder "
            "MODEL_DIR/autopsy_<step>, which training leaves at a step that did not count."
        )
    resolved: config.Resolved[TrainConfig] = config.resolve(
        TrainConfig, [str(file)], overrides=arguments.gin_bindings
    )
    if arguments.cpu_devices is not None:
        from t5x_lite.partitioning.devices import simulate_cpu_devices

        simulate_cpu_devices(arguments.cpu_devices)
    _join_processes(arguments, resolved)
    return resolved.config


def _vocabulary_of_initial_model(job: Job) -> str | None:
    """The vocabulary of the checkpoint that a job starts from, if it carries one."""
    path = job.restore.path if isinstance(job, TrainConfig) else job.checkpoint_path
    return None if path is None else _vocabulary_carried_by(path)


def _vocabulary_carried_by(path: str) -> str | None:
    path = _one_checkpoint(path)
    if not epath.Path(path).exists():
        return None
    from t5x_lite.checkpoints import pretrained

    found = pretrained.vocabulary_file(path)
    return None if found is None else str(found)


def fitting_gin_file(stored_model: Mapping[str, Any]) -> str:
    """A line about the model file of ours that gives this model, or that none does."""
    from t5x_lite.checkpoints import codec
    from t5x_lite.checkpoints.description import differences

    wanted = codec.from_json(ModelConfig, stored_model)
    root = config.packaged_root()
    other_size = ""
    for path in sorted((root / "models").glob("*/*.gin")):
        name = str(path.relative_to(root))
        try:
            model = config.resolve(ModelConfig, [name]).config
        except config.ConfigError:
            continue  # a part of a model, such as an architecture
        if not differences(model, wanted):
            return f"The config that fits: --gin_file={name}"
        if not differences(dataclasses.replace(model, vocab_size=wanted.vocab_size), wanted):
            other_size = f"--gin_file={name} --gin.VOCAB_SIZE={wanted.vocab_size}"
    if other_size:
        return f"The config that fits: {other_size}"
    return (
        "No model file of t5x_lite fits; t5x_lite inspect CHECKPOINT shows the macros of the run "
        "that wrote it."
    )


def _check_datasets(job: Job, model: ModelConfig, *, process_count: int) -> None:
    """Unknown tasks, splits, lengths and vocabularies, before anything is compiled."""
    from t5x_lite.data.checks import check_dataset

    trains = isinstance(job, TrainConfig)
    for name, dataset in datasets(job).items():
        check_dataset(
            dataset,
            model.features,
            vocab_size=model.vocab_size,
            process_count=process_count if trains else 1,
            is_decoded=not trains or name == "decoded",
        )


def _join_processes(arguments: argparse.Namespace, resolved: config.Resolved[Job]) -> None:
    from t5x_lite.partitioning import processes

    processes.initialize(
        arguments.coordinator_address,
        arguments.process_count,
        arguments.process_index,
        timeout_s=arguments.initialization_timeout,
        facts=functools.partial(_facts, arguments, resolved),
    )


def _facts(arguments: argparse.Namespace, resolved: config.Resolved[Job]) -> dict[str, str]:
    """What all processes of a job have in common; of files that are only read, the contents."""
    from t5x_lite.partitioning import consistency
    from t5x_lite.text import vocabulary_paths

    found = {
        "command": arguments.command,
        "--cpu_devices": str(arguments.cpu_devices),
        **consistency.settings(resolved.operative_config),
    }
    vocabulary = vocabulary_of(resolved.config) if datasets(resolved.config) else None
    if vocabulary is not None:
        found["SHA-256 of the vocabulary"] = vocabulary_paths.digest(vocabulary)
    return found
