"""What a program on a topology means for who waits and pays: memory, time, tokens, days, money.

Memory and work are what the compiler made; all that has to do with time is an estimate, whose
assumptions `assumptions` says.
"""

import dataclasses
import functools
from collections.abc import Mapping

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.losses.denoising_config import decoder_passes
from t5x_lite.model import flops
from t5x_lite.model.config import ModelConfig
from t5x_lite.planning.answers import Answers
from t5x_lite.planning.measure import Compiled, Job, Measured
from t5x_lite.planning.memory import Shortage
from t5x_lite.planning.programs import Kind, Shapes
from t5x_lite.training.config import TrainConfig

_SECONDS_AN_HOUR = 3600
_HOURS_A_DAY = 24
# What hosts deliver, of those features that are there.
_READ = ("encoder_input_tokens", "decoder_target_tokens", "inputs")


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Collectives of one kind, axes and cause: bytes and seconds of a step, on one device."""

    kind: str
    axes: str
    cause: str
    bytes: int
    exposed_seconds: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """A measured program with what its job says of it. `price` is in dollars per chip and hour."""

    measured: Measured
    model_flops: float
    train_steps: int | None
    price: float | None

    @property
    def compiled(self) -> Compiled | None:
        """What is known of the program only if it fits."""
        return self.measured.outcome if isinstance(self.measured.outcome, Compiled) else None

    @property
    def hbm_capacity(self) -> int:
        """Bytes that a program may use on a device."""
        if isinstance(self.measured.outcome, Shortage):
            return self.measured.outcome.available
        chip = self.measured.topology.chip
        return chip.hbm_bytes // chip.devices

    @property
    def hbm_peak(self) -> int:
        """The most bytes that live at a time; of a program that is refused those it needs."""
        if isinstance(self.measured.outcome, Shortage):
            return self.measured.outcome.needed
        return self.measured.outcome.memory.peak

    @property
    def fits(self) -> bool:
        """Whether a device has the memory, the gaps between arrays included."""
        return self.compiled is not None and self.compiled.memory.reserved <= self.hbm_capacity

    @functools.cached_property
    def parts(self) -> Mapping[str, int]:
        """What lies in the memory of a device when it is fullest. Gradients are an estimate, as is
        the rest, activations and temporaries.
        """
        state, trains = self.measured.state, self.measured.kind is Kind.TRAIN
        known = {"parameters": state.parameters}
        if trains:
            known |= {"optimizer": state.optimizer}
        rest = max(self.hbm_peak - sum(known.values()), 0)
        if trains:
            known |= {"gradients": min(state.gradients, rest)}
            rest -= known["gradients"]
        return known | {"activations and temporaries": rest}

    @property
    def recompute_share(self) -> float | None:
        """Of the FLOPs that were compiled, those that the model does not have."""
        if self.compiled is None or not self.compiled.cost.flops:
            return None
        return max(1 - self.model_flops / self.compiled.cost.flops, 0.0)

    @functools.cached_property
    def traffic(self) -> tuple[Traffic, ...]:
        """What moves between devices, the longest waited for first, then the most bytes."""
        if self.compiled is None:
            return ()
        exposed, sums = self.compiled.schedule.exposed, dict[tuple[str, str, str], list]()
        for each in self.compiled.cost.collectives:
            row = sums.setdefault((each.kind, each.axes, str(each.cause)), [0, 0.0])
            row[0] += each.payload_bytes * each.trips
            row[1] += exposed[each.name]
        rows = [Traffic(*key, *row) for key, row in sums.items()]
        return tuple(sorted(rows, key=lambda row: (-row.exposed_seconds, -row.bytes)))

    @property
    def unknown_loops(self) -> int:
        """Loops of which the program does not say how often they run at most; counted once."""
        return sum(not loop.is_known for loop in self.compiled.cost.loops) if self.compiled else 0

    @property
    def step_seconds(self) -> float | None:
        """Of one step, or of one batch that is evaluated or answered."""
        return self.compiled.schedule.step_seconds if self.compiled else None

    @property
    def tokens(self) -> int:
        """Positions of inputs and targets in a batch, padding included."""
        return self._positions(*_READ, "outputs")

    @property
    def tokens_per_second(self) -> float | None:
        """On all devices."""
        return self.tokens / self.step_seconds if self.step_seconds else None

    @property
    def host_tokens_per_second(self) -> float | None:
        """What each host has to read, to make and to send."""
        if not self.step_seconds:
            return None
        return self._positions(*_READ) / self.step_seconds / self.measured.topology.num_hosts

    def _positions(self, *names: str) -> int:
        shapes = (self.measured.shapes.get(name, (0, 0)) for name in names)
        return sum(rows * length for rows, length in shapes)

    @property
    def mfu_bound(self) -> float | None:
        """Model FLOPs utilization that the estimated time allows at most."""
        chip = self.measured.topology.chip
        if not self.step_seconds:
            return None
        return self.model_flops / self.step_seconds / (chip.flops / chip.devices)

    @property
    def days(self) -> float | None:
        """Of all training steps, one after the other without a pause."""
        if self.step_seconds is None or self.train_steps is None:
            return None
        return self.step_seconds * self.train_steps / (_SECONDS_AN_HOUR * _HOURS_A_DAY)

    @property
    def chip_hours(self) -> float | None:
        """Of these days."""
        if self.days is None:
            return None
        return self.days * _HOURS_A_DAY * self.measured.topology.num_chips

    @property
    def cost(self) -> float | None:
        """Dollars."""
        known = self.chip_hours is not None and self.price is not None
        return self.chip_hours * self.price if known else None  # type: ignore[operator]

    @property
    def checkpoint_seconds(self) -> float:
        """To write a checkpoint, every host its part at the bandwidth of its network."""
        topology = self.measured.topology
        bandwidth = topology.num_hosts * topology.chip.host_bandwidth
        return self.measured.state.checkpoint / bandwidth

    @property
    def host_bytes_needed(self) -> int:
        """Of a host's memory: a copy of what its devices hold of the state, while it is saved."""
        chip, state = self.measured.topology.chip, self.measured.state
        on_devices = (state.parameters + state.optimizer) * chip.chips_per_host * chip.devices
        return min(on_devices, state.checkpoint)


def make_plan(job: Job, measured: Measured, price: float | None = None) -> Plan:
    """Args:
    price: dollars per chip and hour, in place of the list price.
    """
    steps, models = None, job.models.members if isinstance(job, Answers) else (job.model,)
    if isinstance(job, TrainConfig) and measured.kind is Kind.TRAIN:
        steps = job.train_steps or job.train_steps_relative
    kind, shapes = measured.kind, measured.shapes
    passes = decoder_passes(job.loss) if isinstance(job, TrainConfig) else 1
    total = sum(model_flops(model, kind, shapes, job.decoding, passes) for model in models)
    return Plan(
        measured,
        total / measured.topology.num_devices,
        steps,
        measured.topology.chip.price if price is None else price,
    )


def model_flops(
    model: ModelConfig, kind: Kind, shapes: Shapes, decoding: DecodingConfig, passes: int = 1
) -> float:
    """FLOPs that a batch takes in theory, on all devices, as `model.flops` counts them."""
    if kind is Kind.TRAIN:
        return flops.training_flops(model, shapes, passes=passes)
    if kind is Kind.EVAL:
        return flops.training_flops(model, shapes, passes=passes) / flops.TRAINING_FACTOR
    rows, width = shapes["inputs"]
    if "outputs" not in shapes:  # what is told is not written
        return float(flops.forward_flops(model, rows, width, 0))
    length = shapes["outputs"][1]
    encoded, prefix = (width, 0) if model.encoder is not None else (0, width)
    answers = rows * decoding.strategy.rows(decoding.num_decodes)
    start = flops.forward_flops(model, answers, encoded, 0)
    read = flops.forward_flops(model, rows, encoded, prefix)
    return float(read + flops.forward_flops(model, answers, encoded, length) - start)


def assumptions(plan: Plan) -> list[str]:
    """What the estimates of a plan take for granted."""
    chip = plan.measured.topology.chip
    said = [
        "seconds: every instruction takes the longer of its FLOPs at the chip's peak and its bytes "
        "at the bandwidth of its memory, in the compiler's order; real kernels take longer",
        f"links carry {chip.link_bandwidth / 1e9:g} GB/s each way, without latency, along every "
        "dimension of the torus that a group spans; a host's network "
        f"{chip.host_bandwidth / 1e9:g} GB/s; between a chip and its host go "
        f"{chip.pcie_bandwidth / 1e9:g} GB/s",
        "gradients: float32 shards of all that trains; activations and temporaries: the rest of "
        "the peak that the compiler names",
        "days: all steps without a pause; no compilation, evaluation, checkpoint or restart",
        "a checkpoint leaves through the network of all hosts at once; storage keeps up",
    ]
    if "outputs" in plan.measured.shapes:
        said.append("every answer is as long as MAX_DECODE_LENGTH")
    if plan.unknown_loops:
        said.append(
            f"too little: {plan.unknown_loops} loop(s) of {plan.measured.kind.value} end when the "
            "data says, the program does not tell when, and each is counted once"
        )
    if chip.is_simulated:
        said.insert(0, "no such machine exists: peaks and bandwidths are round numbers")
    elif plan.price is not None and plan.price == chip.price:
        said.append(
            f"price: Cloud's list price of 2025 in the US, ${chip.price:.2f} a chip and "
            "hour, on demand; --price_per_chip_hour=... gives yours"
        )
    return said
