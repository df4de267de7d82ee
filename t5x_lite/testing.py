"""For users' own CI: a pytest plugin with simulated devices, and "this task trains" in one call.

    # conftest.py
    pytest_plugins = ["t5x_lite.testing"]

    # test_my_tasks.py
    import my_tasks
    from t5x_lite.testing import assert_task_trains

    def test_my_task_trains():
        assert_task_trains("my_task", {"inputs": 64, "targets": 16})

Every test session then sees 8 CPU devices (--t5x-lite-cpu-devices=N for another number, 0 for the
machine's own). Nothing here imports JAX before they are set up.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from t5x_lite.features.layouts import Layout, predicted_stack
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    MLPConfig,
    ModelConfig,
    RelativeBiasConfig,
    StackConfig,
    Visibility,
)
from t5x_lite.partitioning.devices import simulate_cpu_devices

if TYPE_CHECKING:
    import jax

_DEVICES = "--t5x-lite-cpu-devices"
_NUM_BATCHES = 4


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the number of simulated devices to pytest's options."""
    parser.addoption(
        _DEVICES,
        type=int,
        default=8,
        help="simulated CPU devices of the test session; 0 leaves the machine's own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Simulates the devices before any test module is imported."""
    count = config.getoption(_DEVICES)
    if count:
        simulate_cpu_devices(count)


@pytest.fixture(scope="session")
def simulated_mesh() -> "jax.sharding.Mesh":
    """All devices as a mesh (data, model), with model=2 where their number is even."""
    import jax

    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner

    num_partitions = 1 if len(jax.devices()) % 2 else 2
    return make_partitioner(PartitioningConfig(num_partitions=num_partitions)).mesh


def tiny_model(
    vocab_size: int,
    architecture: Layout = Layout.ENCODER_DECODER,
    *,
    dropout_rate: float = 0.0,
    logits_via_embedding: bool = True,
) -> ModelConfig:
    """A T5, or its encoder alone, that compiles in seconds and fits any mesh of 8 devices: every
    width divides by 8.
    """
    has_encoder = architecture in (Layout.ENCODER_DECODER, Layout.ENCODER)
    has_decoder = architecture is not Layout.ENCODER
    is_prefix = architecture is Layout.PREFIX_LM

    def stack(visibility: Visibility, *, cross_attention: bool) -> StackConfig:
        return StackConfig(
            num_layers=2,
            visibility=visibility,
            positions=RelativeBiasConfig(bidirectional=visibility is not Visibility.CAUSAL),
            block=BlockConfig(
                attention=AttentionConfig(num_heads=8, head_dim=4),
                mlp=MLPConfig(mlp_dim=64),
                cross_attention=cross_attention,
            ),
        )

    decoder_sees = Visibility.PREFIX if is_prefix else Visibility.CAUSAL
    return ModelConfig(
        vocab_size=vocab_size,
        embed_dim=32,
        encoder=stack(Visibility.FULL, cross_attention=False) if has_encoder else None,
        decoder=stack(decoder_sees, cross_attention=has_encoder) if has_decoder else None,
        dropout_rate=dropout_rate,
        logits_via_embedding=logits_via_embedding,
    )


def assert_task_trains(
    task_name: str,
    task_feature_lengths: Mapping[str, int],
    *,
    split: str = "train",
    architecture: Layout = Layout.ENCODER_DECODER,
    vocabulary: str | None = None,
    vocab_size: int | None = None,
    num_partitions: int = 2,
    batch_size: int = 8,
    num_steps: int = 40,
) -> list[float]:
    """Trains a tiny model on the first batches of a SeqIO task or mixture and gives its losses.

    Args:
        vocabulary: SentencePiece model, or a vocabulary's folder, of tasks that use t5x_lite's
            DefaultVocabulary.
        vocab_size: of the model the task is meant for; default is what the task needs.

    Raises:
        UserError: the task is unknown, or does not fit its lengths, the mesh or the vocabulary.
        AssertionError: batches hold nothing to learn from; the loss is not finite or does not fall.
    """
    import seqio

    from t5x_lite.data import checks, pipeline
    from t5x_lite.data.config import DatasetConfig
    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner
    from t5x_lite.text.default_vocabulary import set_default_vocabulary

    if vocabulary is not None:
        set_default_vocabulary(vocabulary)
    dataset = DatasetConfig(
        mixture_or_task_name=task_name,
        task_feature_lengths=task_feature_lengths,
        split=split,
        batch_size=batch_size,
    )
    checks.check_mixture_or_task(task_name)
    features = seqio.get_mixture_or_task(task_name).output_features.values()
    num_ids = max(feature.vocabulary.vocab_size for feature in features)
    # A multiple of 128 divides over any mesh, as in T5.
    size = -(-num_ids // 128) * 128 if vocab_size is None else vocab_size
    model = tiny_model(size, architecture)
    checks.check_dataset(dataset, model.features, vocab_size=size)
    partitioner = make_partitioner(PartitioningConfig(num_partitions=num_partitions))
    partitioner.check_batch_size(batch_size)
    stream = pipeline.make_batches(dataset, model.features)
    batches = [next(stream) for _ in range(_NUM_BATCHES)]
    _check_batches(batches, task_name, size)
    losses = _train(model, partitioner, batches, num_steps)
    _check_losses(losses, task_name)
    return losses


def _check_batches(batches: Sequence[Mapping[str, Any]], task_name: str, vocab_size: int) -> None:
    import numpy as np

    for number, batch in enumerate(batches):
        for name, tokens in batch.items():
            if name.endswith("_segment_ids") and not np.any(tokens):
                raise AssertionError(
                    f"{task_name}: the {name.partition('_')[0]}'s part of batch {number} is all "
                    f"padding. Look at the examples: t5x_lite inspect {task_name}"
                )
            if name.endswith("_tokens") and not 0 <= tokens.min() <= tokens.max() < vocab_size:
                raise AssertionError(
                    f"{task_name}: {name} of batch {number} has ids from {tokens.min()} to "
                    f"{tokens.max()}, the vocabulary has 0 to {vocab_size - 1}. Does a "
                    "preprocessor make ids by itself?"
                )
        counted = f"{predicted_stack(batch)}_loss_weights"
        if counted in batch and not np.any(batch[counted]):
            raise AssertionError(
                f"{task_name}: no token of batch {number} counts for the loss; are the targets "
                "empty, or cut off because the inputs fill the length?"
            )


def _train(
    model: ModelConfig, partitioner: Any, batches: Sequence[Mapping[str, Any]], num_steps: int
) -> list[float]:
    from t5x_lite.losses.config import LossConfig
    from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
    from t5x_lite.training.state import StateFactory
    from t5x_lite.training.step import make_train_step

    schedule = ScheduleConfig(base_learning_rate=0.02)
    factory = StateFactory(model, AdafactorConfig(), schedule, partitioner)
    step = make_train_step(factory, (LossConfig(),), seed=0)
    state = factory.initialize(seed=0)
    placed = [partitioner.global_batch(batch) for batch in batches]
    losses = []
    for number in range(num_steps):
        state, metrics = step(state, placed[number % len(placed)])
        losses.append(metrics["loss"])
    return [float(loss) for loss in losses]


def _check_losses(losses: Sequence[float], task_name: str) -> None:
    import numpy as np

    if not np.all(np.isfinite(losses)):
        first = int(np.argmin(np.isfinite(losses)))
        raise AssertionError(f"{task_name}: the loss of step {first} is {losses[first]}")
    # Each batch is seen once per round, so rounds are comparable where steps are not.
    first_round, last_round = np.mean(losses[:_NUM_BATCHES]), np.mean(losses[-_NUM_BATCHES:])
    if last_round >= first_round:
        raise AssertionError(
            f"{task_name}: after {len(losses)} steps on the same {_NUM_BATCHES} batches the loss "
            f"is {last_round:.3f}, at the start it was {first_round:.3f}; it should have fallen."
        )
