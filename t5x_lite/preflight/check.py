"""`t5x_lite check`: everything that can be wrong with a job before a device is held.

It runs on simulated CPU devices whatever the machine has, and writes nothing.
"""

import argparse
import time
from collections.abc import Iterator

from rich import console as rich_console

from t5x_lite import config, jobs
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import InferConfig
from t5x_lite.preflight import findings
from t5x_lite.preflight.findings import Check, Finding, Kind
from t5x_lite.training.config import TrainConfig

_ROOTS = {"train": TrainConfig, "eval": EvalConfig, "infer": InferConfig}
_STYLES = {Kind.OK: "green", Kind.NOTE: "yellow", Kind.FIX: "red", Kind.LEFT_OUT: "dim"}
_SUBJECT_WIDTH, _KIND_WIDTH = 18, 5


def check(arguments: argparse.Namespace) -> bool:
    """Runs all checks of a job and prints each finding when it is made; whether all is well."""
    began = time.monotonic()
    console = rich_console.Console(soft_wrap=True, highlight=False)
    to_fix = 0
    with console.status("configuration") as status:
        for finding in find(arguments, begin=status.update):
            to_fix += finding.kind is Kind.FIX
            _print(console, finding)
    verdict = "nothing to fix" if not to_fix else f"{to_fix} to fix"
    seconds = time.monotonic() - began
    console.print(f"{verdict}; checked in {seconds:.0f} s, no device was held")
    return not to_fix


def find(
    arguments: argparse.Namespace, *, begin: findings.Begin = lambda subject: None
) -> Iterator[Finding]:
    """All findings, cheap checks first; without a configuration there is nothing else to check."""
    try:
        resolved = jobs.resolve(_ROOTS[arguments.job], arguments)
    except config.ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", Kind.FIX, str(problem))
        yield Finding("the rest", Kind.LEFT_OUT, "not checked: it needs a configuration")
        return
    files = f"{len(resolved.files)} gin files, every binding is used"
    yield Finding("configuration", Kind.OK, files)
    least = resolved.config.partitioning.min_devices
    devices = max(1, least if arguments.cpu_devices is None else arguments.cpu_devices)
    yield from findings.run(_checks(resolved, arguments, devices), begin=begin)


def _checks(
    resolved: config.Resolved, arguments: argparse.Namespace, devices: int
) -> Iterator[Check]:
    from t5x_lite.partitioning.devices import simulate_cpu_devices

    simulate_cpu_devices(devices)
    if isinstance(resolved.config, TrainConfig):
        from t5x_lite.preflight import training

        yield from training.checks(resolved, arguments)
    else:
        from t5x_lite.preflight import predicting

        yield from predicting.checks(resolved, arguments)


def _print(console: rich_console.Console, finding: Finding) -> None:
    kind, style = finding.kind.value, _STYLES[finding.kind]
    console.print(f"[{style}]{kind:<{_KIND_WIDTH}}[/]", end="")
    console.print(f"{finding.subject:<{_SUBJECT_WIDTH}}", end=" ", markup=False)
    indent = " " * (_KIND_WIDTH + _SUBJECT_WIDTH + 1)
    console.print(finding.text.replace("\n", f"\n{indent}"), markup=False)
