"""How a model is made smaller, as frozen values (no JAX)."""

import dataclasses
import enum
import math
import re

from t5x_lite.bounds import BELOW_ONE, MAX_COUNT, POSITIVE, check_bounds
from t5x_lite.errors import UserError

# Paths of the kernels in all layers of both stacks, but of adapters: what is pruned.
KERNELS = r"(encoder|decoder)/(layers|shared_layer)/(?!adapter/).*/kernel"
_LARGEST_GROUP = 64


class PruningMethod(enum.Enum):
    """When weights go: more and more of them, all at once, or none but those that are 0 already."""

    GRADUAL = "gradual"
    ONE_SHOT = "one_shot"
    LOCKED = "locked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PruningConfig:
    """Weights that become 0 and stay 0, of each layer of each kernel on its own those of the
    smallest magnitude. What trains on is chosen by the 0 itself: there is no mask beside it.

    GRADUAL (Zhu and Gupta 2017, as in Zafrir et al. 2021): after step t of the run, counted from
    its initial checkpoint, a share of

        sparsity * (1 - (1 - (t - begin_step) / (end_step - begin_step)) ** 3)

    is 0, anew every `update_period` steps from `begin_step` on, and `sparsity` from `end_step` on.
    ONE_SHOT: `sparsity` after the first step behind `begin_step`. LOCKED: what is 0 at the start
    stays so, and nothing else goes.

    With `pattern` "n:m" at most n of m weights that follow each other along a kernel's inputs are
    left, and `sparsity` is 1 - n / m. `weights` is a regular expression for whole paths of kernels;
    the default are those of all layers of both stacks, but of adapters.
    """

    method: PruningMethod = PruningMethod.GRADUAL
    sparsity: float | None = None
    pattern: str | None = None
    begin_step: int = 0
    end_step: int | None = None
    update_period: int = 1000
    weights: str = KERNELS

    def __post_init__(self) -> None:
        check_bounds(
            self,
            sparsity=(POSITIVE, BELOW_ONE),
            begin_step=(0, MAX_COUNT),
            end_step=(1, MAX_COUNT),
            update_period=(1, MAX_COUNT),
        )
        try:
            re.compile(self.weights)
        except re.error as error:
            raise UserError(
                f"weights={self.weights!r} is no regular expression ({error}); needed is one for "
                "whole paths of kernels, such as --gin.PruningConfig.weights='.*/mlp/.*/kernel'"
            ) from error
        _CHECKS[self.method](self)
        if self.group is not None:
            self._check_group(*self.group)

    @property
    def group(self) -> tuple[int, int] | None:
        """The two numbers of a pattern."""
        if self.pattern is None:
            return None
        found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", self.pattern)
        if found is None or not 0 < int(found[1]) < int(found[2]) <= _LARGEST_GROUP:
            raise UserError(
                f"pattern={self.pattern!r}: needed is 'n:m', of m weights n are left, with n below "
                f"m and m at most {_LARGEST_GROUP}, such as '2:4': --gin.PRUNING_PATTERN=..."
            )
        return int(found[1]), int(found[2])

    @property
    def final_share(self) -> float:
        """`sparsity`, of a pattern to the last weight; 0 where nothing goes."""
        if self.group is not None:
            return 1 - self.group[0] / self.group[1]
        return self.sparsity or 0.0

    def _check_group(self, kept: int, size: int) -> None:
        assert self.sparsity is not None, "_CHECKS have looked"
        if not math.isclose(self.sparsity, 1 - kept / size, abs_tol=5e-5):
            raise UserError(
                f"sparsity={self.sparsity} with pattern={self.pattern!r}, which leaves {kept} of "
                f"{size}: needed is {1 - kept / size:.6g}, --gin.SPARSITY=..., or another "
                "--gin.PRUNING_PATTERN=... (None: any weights may go)"
            )


def _check_gradual(config: PruningConfig) -> None:
    _check_sparsity(config)
    if config.end_step is None or config.end_step <= config.begin_step:
        raise UserError(
            f"pruning ends at end_step={config.end_step} and begins at begin_step="
            f"{config.begin_step}: needed is an end behind the beginning, --gin.PRUNING_END=..., "
            "the step of the run from which on `sparsity` is reached."
        )
    length = config.end_step - config.begin_step
    if config.update_period > length:
        raise UserError(
            f"update_period={config.update_period} is longer than the {length} steps from "
            f"begin_step={config.begin_step} to end_step={config.end_step}: needed is at most "
            f"{length}, --gin.PRUNING_PERIOD=..., or all at once: "
            "--gin_file=compression/one_shot.gin"
        )


def _check_sparsity(config: PruningConfig) -> None:
    if config.sparsity is None:
        raise UserError(
            f"method={config.method.value!r} with sparsity=None: needed is the share of weights "
            "that go, such as 0.9: --gin.SPARSITY=..."
        )


def _check_one_shot(config: PruningConfig) -> None:
    _check_sparsity(config)
    if config.end_step is not None:
        raise UserError(
            f"method='one_shot' with end_step={config.end_step}: all goes behind begin_step="
            f"{config.begin_step}; needed is compression/one_shot.gin without "
            "compression/prune.gin, or the latter alone."
        )


def _check_locked(config: PruningConfig) -> None:
    given = [
        f"{name}={value}"
        for name in ("sparsity", "pattern", "begin_step", "end_step")
        if (value := getattr(config, name))
    ]
    if given:
        raise UserError(
            f"method='locked' with {', '.join(given)}: what is 0 at the start stays so, and "
            "nothing else goes; needed is compression/lock.gin without another file of pruning."
        )


_CHECKS = {
    PruningMethod.GRADUAL: _check_gradual,
    PruningMethod.ONE_SHOT: _check_one_shot,
    PruningMethod.LOCKED: _check_locked,
}
