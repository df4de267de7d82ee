"""`t5x_lite inspect TASK_OR_MIXTURE`: what a model would read, before it reads it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from etils import epath
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from t5x_lite.display import terminal as display_terminal
from t5x_lite.inspection.gather import gather
from t5x_lite.inspection.html_page import html_page
from t5x_lite.inspection.terminal import print_findings


def inspect_task(
    name: str,
    *,
    split: str = "train",
    num_examples: int | None = None,
    max_sample: int = 2000,
    task_feature_lengths: Mapping[str, int] | None = None,
    seed: int = 0,
    ids: bool = False,
    html: str | None = None,
    console: Console | None = None,
) -> None:
    """Prints examples of each task of `name` and what a bounded sample of it says.

    Args:
        num_examples: of each task; None is 3 of a task by itself, 1 of each of a mixture's.
        max_sample: examples of each task that are read for the numbers; 0 leaves them out.
        task_feature_lengths: None chooses some and says so.
        ids: also shows ids.
        html: a file to write the same to, as a page that needs no other file.
    """
    console = console or display_terminal.console()
    with _progress() as progress:
        findings = gather(
            name,
            split=split,
            lengths=task_feature_lengths,
            num_examples=num_examples,
            max_sample=max_sample,
            seed=seed,
            progress=progress,
        )
    print_findings(findings, console, ids=ids)
    if html is not None:
        path = epath.Path(html)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html_page(findings))
        console.print(f"written: {path}", soft_wrap=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int], Callable[[int], object]]]:
    """A bar for what is being read; it goes away, and a file receives none."""
    console = Console(stderr=True)
    columns = (TextColumn("reading {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:

        def start(what: str, total: int) -> Callable[[int], object]:
            for task in bars.task_ids:
                bars.remove_task(task)
            task = bars.add_task(what, total=total)
            return lambda count: bars.advance(task, count)

        yield start
