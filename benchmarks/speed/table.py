"""What there is to measure: a row is a command, with the arms that take part in it."""

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.speed.families import T5, family_of
from t5x_lite.errors import UserError

OURS = "ours"
_ARMS = "benchmarks.speed.arms"


@dataclasses.dataclass(frozen=True)
class Arm:
    """Where the function is that makes it, and what it is given beside settings.

    Attributes:
        packages: that have to be installed, of the extra `speed`.
        weight_bytes: of each number of a weight that decoding reads.
        beside: the arm of ours that it is compared with.
        is_fresh: every repeat is a process of its own, whose facts are its numbers.
    """

    function: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    packages: tuple[str, ...] = ()
    weight_bytes: float = 4
    beside: str = OURS
    is_fresh: bool = False


# The model that all arms have in common.
MODEL = Arm("benchmarks.speed.models:write")


@dataclasses.dataclass(frozen=True)
class Command:
    """Arms by their names, by theirs what is made before, once for all arms, the settings whose
    defaults are others, and whether only T5 is measured so.
    """

    what: str
    arms: Mapping[str, Arm]
    before: Mapping[str, Arm] = dataclasses.field(default_factory=lambda: {"model": MODEL})
    settings: Mapping[str, int] = dataclasses.field(default_factory=dict)
    is_of_t5: bool = False


# In the mean of what T5.1.1 small and GPT-2 small read for a token: head and `wo` stay float32.
_OURS_INT8 = 2.6


def _ours(function: str) -> dict[str, Arm]:
    return {OURS: Arm(f"{_ARMS}.ours:{function}")}


def _torch(
    function: str, module: str = "huggingface", modes: Sequence[str] = ("eager", "sdpa", "compile")
) -> dict[str, Arm]:
    return {
        f"torch_{mode}": Arm(
            f"{_ARMS}.{module}:{function}", {"mode": mode}, ("torch", "transformers")
        )
        for mode in modes
    }


def _ctranslate2(function: str, module: str = "translator") -> dict[str, Arm]:
    kinds = {"ct2": ("float32", 4), "ct2_int8": ("int8", 1)}
    packages = ("ctranslate2", "torch", "transformers")
    return {
        name: Arm(f"{_ARMS}.{module}:{function}", {"kind": kind}, packages, size)
        for name, (kind, size) in kinds.items()
    }


def _everyone(function: str) -> dict[str, Arm]:
    small = Arm(f"{_ARMS}.ours:{function}", {"weights": "int8"}, weight_bytes=_OURS_INT8)
    return _ours(function) | {"ours_int8": small} | _torch(function) | _ctranslate2(function)


COMMANDS: Mapping[str, Command] = {
    "train": Command("a training step with Adafactor", _ours("train") | _torch("train")),
    "greedy": Command("greedy decoding of all targets", _everyone("decode")),
    "beam": Command("beam search of all targets", _everyone("beam")),
    "score": Command("log-likelihood of targets", _everyone("score")),
    "encode": Command("means of encoder states", _ours("encode") | _torch("encode"), is_of_t5=True),
    "startup": Command(
        "from the start of a process to the end of its first step",
        {
            OURS: Arm(f"{_ARMS}.startup:ours"),
            "ours_warm": Arm(f"{_ARMS}.startup:ours", {"is_warm": True}),
            **_torch("torch", "startup"),
        },
        is_of_t5=True,
    ),
    "input": Command(
        "a million tokens of C4, packed",
        {
            OURS: Arm(f"{_ARMS}.input:ours"),
            "seqio": Arm(f"{_ARMS}.input:seqio_with_t5"),
        },
        before={},
        settings={"batch": 128, "inputs": 512, "targets": 114},
        is_of_t5=True,
    ),
    "checkpoint": Command(
        "a training state saved and restored, beside files of as many bytes",
        {
            "ours_save": Arm(f"{_ARMS}.checkpoint:save", beside="ours_save"),
            "write_file": Arm(f"{_ARMS}.checkpoint:write_file", beside="ours_save"),
            "ours_restore": Arm(
                f"{_ARMS}.checkpoint:restore", beside="ours_restore", is_fresh=True
            ),
            "read_file": Arm(f"{_ARMS}.checkpoint:read_file", beside="ours_restore"),
        },
        before={"model": MODEL, "checkpoint": Arm(f"{_ARMS}.checkpoint:once")},
    ),
    "evaluate": Command(
        "examples decoded greedily and scored, from files to files",
        {
            OURS: Arm(f"{_ARMS}.evaluate:ours"),
            **_torch("huggingface", "evaluate", ("eager", "sdpa")),
            **_ctranslate2("translator", "evaluate"),
        },
        is_of_t5=True,
    ),
}


def check_size(commands: Sequence[str], size: str) -> None:
    """Refuses a model that one of the commands does not measure.

    Raises:
        UserError: there is no such family, or commands are of T5 alone.
    """
    family, _ = family_of(size)
    if family is not T5 and (alone := [name for name in commands if COMMANDS[name].is_of_t5]):
        others = [name for name, each in COMMANDS.items() if not each.is_of_t5]
        asked = [name for name in commands if name in others]
        raise UserError(
            f"--size={size}: of T5 alone, not of {family.name}, is what {', '.join(alone)} "
            f"measures; ask for {', '.join(asked or others)}, or give a size of T5, such as "
            "--size=small."
        )


def arms_of(command: str, names: Sequence[str] | None) -> dict[str, Arm]:
    """The arms that are named, all that there are for None.

    Raises:
        UserError: one does not exist for this command, or needs a package that is missing.
    """
    known = COMMANDS[command].arms
    if unknown := [name for name in names or () if name not in known]:
        raise UserError(
            f"--arms={','.join(unknown)}: {command} has no such arm; there are {','.join(known)}."
        )
    arms = {name: known[name] for name in names or known}
    for name, arm in arms.items():
        for package in arm.packages:
            if importlib.util.find_spec(package) is None:
                raise UserError(
                    f"the arm {name} needs {package}, which is not installed: install the extra "
                    f"with pip install -e '.[speed]', or leave it out with --arms=..."
                )
    return arms
