"""What is measured, what is worth most first: every size and arm once, before any has a further
turn.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.accelerator import search
from benchmarks.accelerator.job import OURS, PEER, Job
from benchmarks.accelerator.results import Results
from benchmarks.accelerator.runner import Ask
from benchmarks.accelerator.search import Try

PARTS = ("machine", "parity", "train", "decode", "attention")
_ROOM = "benchmarks.accelerator.parts"
_PEERS = ("torch", "transformers")


class Size(NamedTuple):
    """Of a model of gin/models/t5_1_1: rows that are tried first, and seconds that a try takes."""

    first_batch: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """How much is measured.

    Attributes:
        most: rows that are tried.
        count: steps behind each other, `repeats` times.
        seconds: that jobs of a part take, compilation included.
        trial: on any device, and PyTorch compiles nothing.
    """

    sizes: Mapping[str, Size]
    inputs: int
    targets: int
    most: int
    count: int
    repeats: int
    decoded: int
    decode_batches: tuple[int, ...]
    machine: Mapping[str, int]
    attention: Sequence[Mapping[str, Any]]
    parity: Mapping[str, Any]
    seconds: Mapping[str, float]
    trial: bool = False


# Rows as in T5's pre-training; the first batches fit into 80 GB.
WHOLE = Shapes(
    sizes={"large": Size(32, 50), "xl": Size(16, 70)},
    inputs=512,
    targets=114,
    most=512,
    count=5,
    repeats=3,
    decoded=64,
    decode_batches=(1, 64),
    machine={"width": 8192, "megabytes": 4096},
    attention=(
        *(
            {"name": f"T5 encoder, {length}", "batch": 2**14 // length, "q_len": length,
             "kv_len": length, "heads": 16, "head_dim": 64, "visibility": "full", "biased": True}
            for length in (512, 2048)
        ),
        {"name": "T5 decoder beside its encoder", "batch": 32, "q_len": 114, "kv_len": 512,
         "heads": 16, "head_dim": 64, "visibility": "full"},
        {"name": "GPT-2, 1024", "batch": 16, "q_len": 1024, "kv_len": 1024, "heads": 12,
         "head_dim": 64, "visibility": "causal", "scale": 0.125},
    ),
    parity={"size": "tiny", "batch": 8, "inputs": 64, "targets": 32, "steps": 5},
    seconds={"machine": 25, "parity": 40, "decode": 40, "attention": 60},
)  # fmt: skip
# The same on a CPU, in a minute: that it runs, not how fast.
TINY = Shapes(
    sizes={"tiny": Size(2, 20)},
    inputs=16,
    targets=8,
    most=2,
    count=1,
    repeats=1,
    decoded=4,
    decode_batches=(1,),
    machine={"width": 64, "megabytes": 1},
    attention=tuple(
        dict(each, batch=2, q_len=16, kv_len=16, heads=2, head_dim=8) for each in WHOLE.attention
    )[2:],
    parity={"size": "tiny", "batch": 2, "inputs": 16, "targets": 8, "steps": 2},
    seconds=dict.fromkeys(WHOLE.seconds, 20.0),
    trial=True,
)


def asks(shapes: Shapes, sizes: Sequence[str], parts: Sequence[str]) -> list[Ask]:
    """What asks for the jobs of some parts, in the order in which they begin."""
    arms = [(size, arm) for size in sizes for arm in (OURS, PEER)]
    by_part: dict[str, list[Ask]] = {
        "machine": [_once(_single("machine", shapes.machine, shapes))],
        "parity": [_once(_single("parity", shapes.parity, shapes))],
        "train": [functools.partial(_next_training, shapes, *each) for each in arms],
        "decode": [
            _once(_decoding(shapes, *each, batch))
            for batch in shapes.decode_batches
            for each in arms
        ],
        "attention": [_once(_single("attention", {"shapes": shapes.attention}, shapes))],
    }
    again = [functools.partial(_again, shapes, *each) for each in arms if "train" in parts]
    return [ask for part in PARTS if part in parts for ask in by_part[part]] + again


def _once(job: Job) -> Ask:
    return lambda results: None if results.found(job.name) else job


def _single(part: str, options: Mapping[str, Any], shapes: Shapes) -> Job:
    function, seconds = f"{_ROOM}.{part}:measure", shapes.seconds[part]
    return Job(part, part, function, options, seconds, anywhere=shapes.trial)


def _next_training(shapes: Shapes, size: str, arm: str, results: Results) -> Job | None:
    found = search.next_try(
        results.tries(size, arm),
        shapes.sizes[size].first_batch,
        ("none", "minimal" if arm == OURS else "full"),
        most=shapes.most,
    )
    return None if found is None else _training(shapes, size, arm, found)


def _again(shapes: Shapes, size: str, arm: str, results: Results) -> Job | None:
    """A further turn with the best batch, where a peer has had one as well."""
    if search.best(results.tries(size, PEER)) is None:
        return None
    best = search.best(results.tries(size, arm))
    job = None if best is None else _training(shapes, size, arm, best, again=True)
    return None if job is None or results.found(job.name) else job


def _training(shapes: Shapes, size: str, arm: str, one: Try, *, again: bool = False) -> Job:
    name = f"train/{size}/{arm}/{one.batch}/{one.remat}{'/again' if again else ''}"
    lengths = {"inputs": shapes.inputs, "targets": shapes.targets}
    often = {"count": shapes.count, "repeats": shapes.repeats}
    options = {"size": size, **one._asdict(), **lengths, **often, **_compiled(shapes, arm)}
    function = f"{_ROOM}.{'training' if arm == OURS else 'peer_training'}:measure"
    # What it compiles is there by then.
    seconds = shapes.sizes[size].seconds / (2 if again else 1)
    return Job(name, "train", function, options, seconds, _packages(arm), arm, again, shapes.trial)


def _decoding(shapes: Shapes, size: str, arm: str, batch: int) -> Job:
    lengths = {"inputs": shapes.inputs, "targets": shapes.decoded, "repeats": shapes.repeats}
    own: Mapping[str, Any] = {"weights": "bfloat16"} if arm == OURS else _compiled(shapes, arm)
    function = f"{_ROOM}.{'decoding' if arm == OURS else 'peer_decoding'}:measure"
    return Job(
        f"decode/{size}/{arm}/{batch}",
        "decode",
        function,
        {"size": size, "batch": batch, **lengths, **own},
        shapes.seconds["decode"],
        _packages(arm),
        arm,
        anywhere=shapes.trial,
    )


def _compiled(shapes: Shapes, arm: str) -> dict[str, bool]:
    return {} if arm == OURS else {"compile": not shapes.trial}


def _packages(arm: str) -> tuple[str, ...]:
    return () if arm == OURS else _PEERS
