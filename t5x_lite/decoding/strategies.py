"""How tokens are chosen: one frozen row for each strategy, with the settings it alone has (no JAX).

Another one is a class here, a row of `decoding.table`, and the file of its search.
"""

import dataclasses
import enum
import numbers
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from t5x_lite.bounds import FINITE, MAX_BATCH, MAX_COUNT, POSITIVE, SEED, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.features.config import Attribute

# No vocabulary has fewer tokens.
_MAX_CANDIDATES = 256
# Continuations of each hypothesis that a beam looks at: half of them may end, and enough live on.
_OF_A_BEAM = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrategyConfig:
    """What each says of itself; `name` is what it is called in Python and on the command line.
    One that `refines` improves whole targets, which only a decoder that sees all of its positions
    can tell of, and no other strategy is for; with `reads_masks` some of their tokens are masks.
    """

    name: ClassVar[str]
    refines: ClassVar[bool] = False
    reads_masks: ClassVar[bool] = False

    def describe(self) -> str:
        """It and its settings, in a few words."""
        raise NotImplementedError

    def most_decodes(self) -> int | None:
        """Outputs that it can give for an input at most, or None: any number."""
        return None

    def rows(self, num_decodes: int) -> int:
        """Rows that the model advances for each input."""
        del num_decodes
        return 1

    def needed_head(self) -> Attribute | None:
        """The attribute that a head of the model has to tell, if one has to."""
        return None

    def least_length(self) -> int:
        """Tokens that an output has at least, its end token counted in."""
        return 1

    def check(self, max_decode_length: int) -> None:
        """Whether it can write so many tokens.

        Raises:
            UserError: it cannot.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class GreedyConfig(StrategyConfig):
    """At every token the likeliest one."""

    name: ClassVar[str] = "greedy"

    def describe(self) -> str:
        """It has no settings."""
        return "greedy"

    def most_decodes(self) -> int:
        """Only one token is the likeliest."""
        return 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig(StrategyConfig):
    """Tokens are drawn: logits are divided by `temperature`, then the `top_k` likeliest are kept
    (0: all), then the fewest of these whose probabilities sum to `top_p`. Example i always draws
    the same numbers of `seed`, whatever the batch.
    """

    name: ClassVar[str] = "sample"

    temperature: float | int = 1.0
    top_k: int = 0
    top_p: float | int = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            temperature=(POSITIVE, FINITE),
            top_k=(0, MAX_COUNT),
            top_p=(POSITIVE, 1.0),
            seed=SEED,
        )

    def describe(self) -> str:
        """With what has an effect on the distribution."""
        return (
            f"sampling, temperature={self.temperature}, top_k={self.top_k or 'all'}, "
            f"top_p={self.top_p}, seed={self.seed}"
        )

    def rows(self, num_decodes: int) -> int:
        """One for each output."""
        return num_decodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamConfig(StrategyConfig):
    """`beam_size` hypotheses live on; `alpha` is the exponent of the length penalty."""

    name: ClassVar[str] = "beam"

    beam_size: int = 4
    alpha: float | int = 0.6

    def __post_init__(self) -> None:
        check_bounds(self, beam_size=(1, MAX_BATCH), alpha=(0.0, FINITE))

    def describe(self) -> str:
        """With both."""
        return f"beam search, beam_size={self.beam_size}, alpha={self.alpha}"

    def most_decodes(self) -> int:
        """So many hypotheses are kept."""
        return self.beam_size

    def rows(self, num_decodes: int) -> int:
        """One for each hypothesis."""
        del num_decodes
        return self.beam_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalBeamConfig(StrategyConfig):
    """Beams that are to have an attribute (Yoshida et al. 2024): `beam_size` hypotheses live on by
    log p(x) + log q(attribute | x), `candidates` continuations of each are judged. Where the
    attribute needs no judge it is a beam, whatever `candidates` are.
    """

    name: ClassVar[str] = "conditional_beam"

    beam_size: int = 4
    candidates: int = 4
    attribute: Attribute = Attribute.NO_REPETITION

    def __post_init__(self) -> None:
        check_bounds(self, beam_size=(1, MAX_BATCH), candidates=(_OF_A_BEAM, _MAX_CANDIDATES))

    @property
    def looked_at(self) -> int:
        """Continuations of each hypothesis."""
        return _OF_A_BEAM if self.attribute.is_exact else self.candidates

    def describe(self) -> str:
        """With what has an effect."""
        words = f"conditional beam search, attribute={self.attribute.value}"
        words += f", beam_size={self.beam_size}"
        return words if self.attribute.is_exact else f"{words}, candidates={self.candidates}"

    def most_decodes(self) -> int:
        """So many hypotheses are kept."""
        return self.beam_size

    def rows(self, num_decodes: int) -> int:
        """One for each candidate."""
        del num_decodes
        return self.beam_size * self.looked_at

    def needed_head(self) -> Attribute | None:
        """What is not exact has to be told."""
        return None if self.attribute.is_exact else self.attribute

    def least_length(self) -> int:
        """The end token alone is empty."""
        return 2 if self.attribute is Attribute.NOT_EMPTY else 1

    def check(self, max_decode_length: int) -> None:
        """Whether anything that ends in time has the attribute."""
        if max_decode_length < self.least_length():
            raise UserError(
                f"attribute={self.attribute.value!r} and max_decode_length={max_decode_length}: "
                f"needed are {self.least_length()} tokens at least, the end token counted in: "
                f"--gin.MAX_DECODE_LENGTH={self.least_length()}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactConfig(StrategyConfig):
    """The likeliest sequences of all; at most `max_nodes` prefixes are looked at for them."""

    name: ClassVar[str] = "exact"

    max_nodes: int = 10_000

    def __post_init__(self) -> None:
        check_bounds(self, max_nodes=(1, MAX_COUNT))

    def describe(self) -> str:
        """With its limit."""
        return f"exact search, max_nodes={self.max_nodes}"

    def check(self, max_decode_length: int) -> None:
        """Whether the first sequence may come to its end."""
        if self.max_nodes < max_decode_length:
            raise UserError(
                f"max_nodes={self.max_nodes} and max_decode_length={max_decode_length}: "
                "needed are as many prefixes as tokens at least, or nothing may be found: "
                "--gin.MAX_NODES=..."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RefiningConfig(StrategyConfig):
    """Whole targets are improved in at most `num_steps` steps, each one pass of the decoder,
    however long they are. The `num_lengths` likeliest lengths are tried for each input, and their
    targets ordered by the mean log-probability of a token.
    """

    refines: ClassVar[bool] = True

    num_steps: int = 10
    num_lengths: int = 3

    def __post_init__(self) -> None:
        check_bounds(self, num_steps=(1, MAX_COUNT), num_lengths=(1, MAX_BATCH))

    def most_decodes(self) -> int:
        """A target of each length."""
        return self.num_lengths

    def rows(self, num_decodes: int) -> int:
        """One for each length, which every step reads as a whole."""
        del num_decodes
        return self.num_lengths * self.num_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class SundaeConfig(RefiningConfig):
    """Targets begin as random tokens (Savinov et al. 2022, section 3.2). Each step draws a `share`
    of the positions anew, at a low `temperature`; the last one takes the likeliest token of every
    position, and a target whose tokens are all the likeliest stays. Example i draws the same of
    `seed` in any batch.
    """

    name: ClassVar[str] = "sundae"

    temperature: float | int = 0.3
    share: float | int = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        check_bounds(self, temperature=(POSITIVE, FINITE), share=(POSITIVE, 1.0), seed=SEED)
        super().__post_init__()

    def describe(self) -> str:
        """With all settings."""
        return (
            f"SUNDAE, num_steps={self.num_steps}, temperature={self.temperature}, "
            f"share={self.share}, num_lengths={self.num_lengths}, seed={self.seed}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskPredictConfig(RefiningConfig):
    """Targets begin as masks (Ghazvininejad et al. 2019, section 3.1). Each step puts the likeliest
    token in the place of each mask, then masks those again that were least sure when they were put
    there: of all tokens a share that falls in a line to none.
    """

    name: ClassVar[str] = "mask_predict"
    reads_masks: ClassVar[bool] = True

    def describe(self) -> str:
        """With both settings."""
        return f"mask-predict, num_steps={self.num_steps}, num_lengths={self.num_lengths}"


STRATEGIES: Mapping[str, type[StrategyConfig]] = MappingProxyType(
    {
        each.name: each
        for each in (
            GreedyConfig,
            SampleConfig,
            BeamConfig,
            ExactConfig,
            ConditionalBeamConfig,
            SundaeConfig,
            MaskPredictConfig,
        )
    }
)


def settings_of(strategy: type[StrategyConfig]) -> tuple[str, ...]:
    """The names of what it alone has.

    >>> settings_of(BeamConfig)
    ('beam_size', 'alpha')
    """
    return tuple(field.name for field in dataclasses.fields(strategy))


def strategy_of(name: str, **settings: Any) -> StrategyConfig:
    """The one of a name, with settings of its own.

    >>> strategy_of("beam", beam_size=8).describe()
    'beam search, beam_size=8, alpha=0.6'

    Raises:
        UserError: there is none of the name, it has no such setting, or a value is out of bounds.
    """
    if name not in STRATEGIES:
        raise UserError(f"strategy={name!r}: needed is one of {', '.join(STRATEGIES)}.")
    found = STRATEGIES[name]
    for setting, value in settings.items():
        if setting not in settings_of(found):
            raise UserError(f"{setting}={value!r} with strategy={name!r}{_advice(found, setting)}")
    return found(**{name: _read(found, name, value) for name, value in settings.items()})


def _read(strategy: type[StrategyConfig], setting: str, value: Any) -> Any:
    """A number, or the member of an enumeration that a word names."""
    kind = type(getattr(strategy, setting))
    if not issubclass(kind, enum.Enum):
        return _number(setting, value, is_whole=kind is int)
    if isinstance(value, kind):
        return value
    known = [each.value for each in kind]
    if value not in known:
        raise UserError(f"{setting}={value!r}: needed is one of {', '.join(known)}.")
    return kind(value)


def _number(setting: str, value: Any, *, is_whole: bool) -> Any:
    """Python's own, of NumPy's as well."""
    kind = numbers.Integral if is_whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind):
        raise UserError(f"{setting}={value!r}: needed is a {'whole ' if is_whole else ''}number.")
    own: Any = value
    if isinstance(own, int | float):
        return own
    return int(own) if is_whole else float(own)


def _advice(strategy: type[StrategyConfig], setting: str) -> str:
    own = ", ".join(settings_of(strategy)) or "none"
    others = [repr(name) for name, each in STRATEGIES.items() if setting in settings_of(each)]
    fix = f"; {setting} is a setting of strategy={' or '.join(others)}" if others else ""
    return f", whose settings are: {own}{fix}."
