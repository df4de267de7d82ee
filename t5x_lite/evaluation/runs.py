"""What train and eval left in a model directory; it is only read, also while a run goes on."""

import ast
import dataclasses
from collections.abc import Mapping, Sequence

from etils import epath

from t5x_lite import gin_text, storage
from t5x_lite.checkpoints import folders
from t5x_lite.checkpoints.folders import absolute
from t5x_lite.evaluation import files
from t5x_lite.evaluation.files import Evaluation, Lines, Number, Scored
from t5x_lite.metrics.benchmark_averages import averages

# The macro of the recipes first; a text in quotes is a path, else it is None or another macro.
_PARENT = ("INITIAL_CHECKPOINT_PATH", "RestoreCheckpointConfig.path")


@dataclasses.dataclass(frozen=True)
class Run:
    """What one model directory holds; a part that was never written is empty.

    `history` has every evaluation of a task's split in the order in which they were made.
    """

    label: str
    directory: epath.Path
    train: Lines
    held_out: Mapping[str, Lines]
    history: Mapping[Scored, Sequence[Evaluation]]

    @property
    def newest(self) -> dict[Scored, Evaluation]:
        """The newest evaluation of each task and split."""
        return {scored: evaluations[-1] for scored, evaluations in self.history.items()}

    @property
    def predictions(self) -> dict[Scored, Lines]:
        """The examples of the newest evaluations."""
        return {scored: files.read(found.predictions) for scored, found in self.newest.items()}

    def baselines(self, scored: Scored) -> dict[str, Number]:
        """The best of the trivial baselines that there are, by metric."""
        name = self.newest[scored].name
        lines = files.read(self.directory / "inference_eval" / f"{name}-baselines.json")
        if not lines:
            return {}
        first, *others = lines[0].values()
        return {name: max([value, *(o[name] for o in others)]) for name, value in first.items()}

    @property
    def averages(self) -> dict[Scored, float]:
        """GLUE's and SuperGLUE's by name and split, where all their tasks were evaluated, together
        or one by one.
        """
        splits = dict.fromkeys(scored.split for scored in self.history)
        newest = self.newest
        return {
            Scored(name, split): value
            for split in splits
            for name, value in averages(
                {each.task: found.scores for each, found in newest.items() if each.split == split}
            ).items()
        }

    def score_text(self, scored: Scored, metric: str) -> str:
        """The newest score with its interval, such as `21.50 [19.02, 23.88]`; `-` without one."""
        if scored not in self.history or metric not in self.newest[scored].scores:
            return "-"
        found = self.newest[scored]
        interval = found.statistics.get("intervals", {}).get(metric)
        value = f"{found.scores[metric]:.2f}"
        if interval is None:
            return value
        return f"{value} [{interval['low']:.2f}, {interval['high']:.2f}]"

    def text(self, name: str) -> str:
        """A file of the directory; empty if it is not there."""
        path = self.directory / name
        return path.read_text() if path.is_file() else ""

    @property
    def parent(self) -> str | None:
        """The checkpoint that the run started from, if it did not start from scratch."""
        named = gin_text.statements(self.text("config.gin"))
        values = (named.get(name, "") for name in _PARENT)
        return next((ast.literal_eval(value) for value in values if value[:1] in ("'", '"')), None)

    @property
    def checkpoints(self) -> list[tuple[int, epath.Path]]:
        """Those that are kept, by step."""
        steps = folders.steps(self.directory)
        return [(step, folders.folder_of(self.directory, step)) for step in steps]


def read_run(path: epath.PathLike) -> Run:
    """Reads one model directory.

    Raises:
        FileNotFoundError: it holds nothing that train or eval wrote.
    """
    directory = absolute(path)
    run = Run(
        label=directory.name,
        directory=directory,
        train=files.read(directory / "train" / "metrics.jsonl"),
        held_out={
            folder.name: files.read(folder / "metrics.jsonl")
            for folder in storage.listed(directory / "training_eval")
        },
        history=files.evaluations(directory / "inference_eval"),
    )
    if not run.train and not run.history:
        raise FileNotFoundError(
            f"nothing to report in {directory}: needed is a model directory in which "
            "`t5x_lite train` wrote train/metrics.jsonl or `t5x_lite eval` wrote inference_eval/."
        )
    return run
