"""Training steps of real width by the TPU's own compiler: one of every architecture and mesh.

Each has 2 layers (a scan compiles one of them), packed rows, Adafactor, health, dropout and
bfloat16 activations.
"""

import dataclasses
import functools
import math
import re
from collections import Counter
from typing import NamedTuple

import pytest

from t5x_lite import config
from t5x_lite.model import flops, transformer
from t5x_lite.planning import cost, hlo, isolated, programs, topologies
from t5x_lite.planning.cost import ProgramCost
from t5x_lite.planning.mesh_axes import MeshLayout
from t5x_lite.training.config import TrainConfig

pytestmark = pytest.mark.tpu_compiler

LENGTH, LAYERS, VOCABULARY = 1024, 2, 32128
# A program of each kind; a row of the batch has so many tokens of inputs and of targets.
BLOCKS = {
    "ComputeConfig.attention": "blockwise",
    "ComputeConfig.attention_block": 256,
    "ComputeConfig.logits_bytes": 2**22,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A program; with `BLOCKS` neither attention nor logits are ever there as a whole."""

    architecture: str
    meshes: tuple[str, ...]
    slices: int = 1
    shape: str = "4x4"
    num_partitions: int = 4
    remat: str
    num_microbatches: int = 1
    batch_size: int = 32
    values: dict = dataclasses.field(default_factory=lambda: BLOCKS)

    @property
    def topology(self) -> topologies.Topology:
        return topologies.find(f"v5e:{self.shape}", slices=self.slices)

    @property
    def job(self) -> TrainConfig:
        files = ("models/t5_1_1/base.gin", f"models/architectures/{self.architecture}.gin")
        meshes = (f"meshes/{name}.gin" for name in self.meshes)
        layers = LAYERS * (2 if self.architecture == "half_depth" else 1)
        values = {
            "MODEL_DIR": "nowhere",
            "MIXTURE_OR_TASK_NAME": "not_looked_up",
            "TASK_FEATURE_LENGTHS": {"inputs": self.length, "targets": self.length},
            "TRAIN_STEPS": 1000,
            "NUM_DECODER_LAYERS": layers,
            **({} if self.is_language_model else {"NUM_ENCODER_LAYERS": layers}),
            "DROPOUT_RATE": 0.1,
            "BATCH_SIZE": self.batch_size,
            "NUM_PARTITIONS": self.num_partitions,
            "NUM_MICROBATCHES": self.num_microbatches,
            "REMAT": self.remat,
            **({"NUM_SLICES": self.slices} if self.slices > 1 else {}),
            **self.values,
        }
        overrides = [("--gin", f"{name}={value}") for name, value in values.items()]
        files = (*files, "recipes/pretrain.gin", *meshes)
        return config.resolve(TrainConfig, files, overrides=overrides).config

    @property
    def is_blockwise(self) -> bool:
        return self.values is BLOCKS

    @property
    def length(self) -> int:
        """Of inputs and of targets; a language model reads both as one row of `LENGTH`."""
        return LENGTH // 2 if self.is_language_model else LENGTH

    @property
    def is_language_model(self) -> bool:
        return self.architecture in ("lm", "prefix_lm")

    @property
    def rows(self) -> int:
        """Of a microbatch, on a chip."""
        data = self.topology.num_chips // self.num_partitions
        return self.batch_size // data // self.num_microbatches


CASES = {
    # Its kernels are gathered within a loop with dropout: that crashed the compiler.
    "fully_sharded": Case(
        architecture="encoder_decoder", meshes=("fully_sharded",), remat="full", values={}
    ),
    "standard": Case(
        architecture="shared", meshes=("standard",), num_partitions=1, remat="minimal"
    ),
    "sequence": Case(
        architecture="lm",
        meshes=("fully_sharded", "sequence"),
        remat="minimal",
        num_microbatches=2,
    ),
    "two_dimensional": Case(
        architecture="prefix_lm", meshes=("fully_sharded", "two_dimensional"), remat="full"
    ),
    "multislice": Case(
        architecture="half_depth",
        meshes=("multislice", "fully_sharded"),
        slices=2,
        shape="2x2",
        num_partitions=2,
        remat="minimal",
    ),
}


def compiled_text(job: TrainConfig, topology: topologies.Topology) -> tuple[str, dict]:
    """The HLO text of its training step and the mesh; runs in a process of its own."""
    states = programs.make_states(job, topology)
    program = programs.lower(job, states, programs.Kind.TRAIN)
    return program.lowered.compile().as_text(), dict(states.partitioner.mesh.shape)


class Compiled(NamedTuple):
    """A case, the text of its program, and what `planning` reads in it."""

    case: Case
    text: str
    cost: ProgramCost
    mesh: dict


@pytest.fixture(params=CASES)
def compiled(request) -> Compiled:
    return compiled_case(request.param)


@functools.cache
def compiled_case(name: str) -> Compiled:
    """Each once, one after the other: a compiler takes all cores. One that crashes fails here."""
    pytest.importorskip("libtpu", reason="libtpu is not installed: make pods")
    case = CASES[name]
    text, mesh = isolated.call(compiled_text, case.job, case.topology)
    found = cost.analyse(hlo.parse(text), mesh=MeshLayout.of(mesh, case.slices))
    return Compiled(case, text, found, mesh)


def of_attention(compiled: Compiled) -> int:
    """Elements of [rows, heads, queries, keys] on a chip, of one layer."""
    case = compiled.case
    heads = case.job.model.decoder.block.attention.num_heads // case.num_partitions
    return case.rows * heads * LENGTH**2


def test_weights_of_attention_and_logits_are_nowhere_as_a_whole(compiled):
    """Nothing in HBM is as large; the program that attends densely shows that it would be seen."""
    found = [each for each in compiled.cost.largest_buffers if is_computed(each)]
    whole = [each for each in found if math.prod(each.dims) >= of_attention(compiled)]
    assert bool(whole) != compiled.case.is_blockwise, whole
    logits = compiled.case.rows * LENGTH * VOCABULARY // compiled.case.num_partitions
    kept = [each for each in found if each.dtype == "f32" and math.prod(each.dims) >= logits]
    assert not kept


def is_computed(buffer: cost.Buffer) -> bool:
    return not buffer.op_name.startswith(("state.", "batch["))


def test_kernels_are_gathered_in_bfloat16_and_at_most_twice_a_microbatch(compiled):
    """Once for the forward and once for the backward pass, and never from another slice."""
    gathers = [each for each in compiled.cost.collectives if is_gather_of_kernel(each)]
    assert bool(gathers) == ("fully_sharded" in compiled.case.meshes)
    passes: Counter[str] = Counter()
    for each in gathers:
        once = 2 * elements_of(compiled, each.cause.argument) * compiled.case.num_microbatches
        assert each.payload_bytes * each.trips <= once, each
        passes[each.cause.argument] += each.payload_bytes * each.trips / once
    assert max(passes.values(), default=0) <= 2
    assert not any(each.crosses_slices for each in gathers)


def test_sums_of_large_gradients_go_on_beside_products():
    """Nine tenths of those of layers; the first of a backward pass has none to go on beside."""
    collectives = compiled_case("standard").cost.collectives
    sums = [each for each in collectives if each.kind == "all-reduce" and each.trips == LAYERS]
    large = [each for each in sums if each.payload_bytes >= 2**20]
    hidden = sum(each.payload_bytes for each in large if each.is_asynchronous)
    assert hidden >= 0.9 * sum(each.payload_bytes for each in large) > 0


def test_products_are_those_of_the_passes_and_of_recomputation():
    """With remat full all is computed again but each layer's last product; dense attention, since
    blocks are computed again in the backward pass in any case."""
    case = compiled_case("fully_sharded").case
    model, tokens = case.job.model, case.batch_size * LENGTH
    forward = flops.forward_flops(model, case.batch_size, LENGTH, LENGTH)
    last = 2 * tokens * model.embed_dim * model.decoder.block.mlp.mlp_dim * 2 * LAYERS
    expected = ((flops.TRAINING_FACTOR + 1) * forward - last) / case.topology.num_chips
    assert compiled_case("fully_sharded").cost.flops == pytest.approx(expected, rel=0.02)


def test_bytes_are_those_of_another_count(compiled):
    assert compiled.cost.counted_bytes == pytest.approx(bytes_in(compiled.text), rel=1e-6)


def bytes_in(text: str) -> Counter:
    """Kind -> bytes of results as written, loops by their trips: without the parser of a plan."""
    computations: dict[str, list[str]] = {}
    entry = ""
    for line in text.splitlines():
        if header := re.match(r"(ENTRY )?%?([\w.\-]+) .*\{$", line):
            lines = computations.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif line.startswith("  "):
            lines.append(line)
    return bytes_of(entry, computations, {})


KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
LINE = re.compile(r" = (.*?) ([a-z][\w\-]*)\((?=[^:])")
CALLED = re.compile(r"\b(body|calls|to_apply|called_computations)=\{?%?([\w.\-]+)")
WIDTHS = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "s8": 1}


def bytes_of(name: str, computations: dict[str, list[str]], known: dict[str, Counter]) -> Counter:
    if name in known:
        return known[name]
    total: Counter = Counter()
    for line in computations[name]:
        kind, size = written_in(line)
        total[kind] += size
        for key, callee in CALLED.findall(line):
            trips = trips_of(line, computations) if key == "body" else 1
            for each, inner in bytes_of(callee, computations, known).items():
                total[each] += trips * inner
        # Slices differ in whom they send to: each goes one way, and all move as much.
        if branches := re.search(r"branch_computations=\{([^}]*)\}", line):
            callees = re.findall(r"[\w.\-]+", branches[1])
            total += max(
                (bytes_of(each, computations, known) for each in callees), key=Counter.total
            )
    known[name] = +total
    return known[name]


def written_in(line: str) -> tuple[str, int]:
    """Kind and bytes of a collective, 0 of anything else; of a tuple the largest, of sums all."""
    type_, opcode = LINE.search(line).groups()
    kind = opcode.removesuffix("-start")
    if kind not in KINDS:
        return kind, 0
    sizes = [
        WIDTHS[dtype] * math.prod(int(each) for each in dims.split(",") if each)
        for dtype, dims in re.findall(r"\b(\w+)\[([\d,]*)\]", type_)
    ]
    return kind, sum(sizes) if kind == "all-reduce" else max(sizes)


def trips_of(line: str, computations: dict[str, list[str]]) -> int:
    """The constant that the condition compares with; products in a ring are unrolled twice."""
    if told := re.search(r'known_trip_count":\{"n":"(\d+)"', line):
        return int(told[1])
    condition = re.search(r"condition=%?([\w.\-]+)", line)[1]
    (bound,) = re.findall(r"[su]32\[\]\S* constant\((\d+)\)", "\n".join(computations[condition]))
    return int(bound) // (2 if "windowed_dot_general" in line else 1)


def is_gather_of_kernel(collective) -> bool:
    """Of parameters over the axis that splits them; activations and the head are gathered over
    others."""
    is_kernel = collective.cause.argument.endswith("kernel")
    return collective.kind == "all-gather" and is_kernel and "data" in collective.axes


def elements_of(compiled: Compiled, name: str) -> int:
    """Of a kernel as a chip computes with it: whole but for what is split over model."""
    kernel = transformer.abstract_parameters(compiled.case.job.model)
    for key in name.split("/"):
        kernel = kernel[key]
    return math.prod(kernel.shape) // compiled.case.num_partitions
