"""A restored model that answers the examples of a task, on a mesh."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Int32

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data import checks
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import Example, inputs_of
from t5x_lite.data.told import Told
from t5x_lite.data.vocabulary_files import first_sentinel
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.display.progress import say
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import restored
from t5x_lite.inference.batching import Ids
from t5x_lite.inference.config import PredictionConfig
from t5x_lite.inference.engine import Engine, Report
from t5x_lite.inference.hidden_states import scorer
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
from t5x_lite.inference.reading import Asked, told_of_each
from t5x_lite.inference.reports import progress_of
from t5x_lite.partitioning import compilation_cache
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.text.template import Framed


@dataclasses.dataclass(frozen=True)
class Predictor:
    """The engine of a job's checkpoints, how it decodes and how it scores."""

    engine: Engine
    step: int
    decoding: DecodingConfig
    hidden_states: HiddenStatesConfig | None = None

    def decode(
        self,
        examples: Sequence[Example],
        *,
        batch_size: int,
        length: int | None,
        label: str,
        after_batch: Callable[[], None] = lambda: None,
    ) -> list[Int32[np.ndarray, " _length"]]:
        """The ids of the best output for each example, its end token included, and padding."""
        inputs = [ids[:length] for ids in inputs_of(examples)]
        report = _reporting(label, len(examples), after_batch)
        outputs = self.engine.generate(inputs, self.decoding, batch_size=batch_size, report=report)
        return [output.tokens[0] for output in outputs]

    def tell(
        self,
        examples: Sequence[Example],
        told: Told,
        *,
        batch_size: int,
        label: str,
        after_batch: Callable[[], None] = lambda: None,
    ) -> Float[np.ndarray, "examples _numbers"]:
        """What is kept of a head's outputs for each example of an encoder by itself."""
        count = sum(len(told.parts(example)) for example in examples)
        report = _reporting(label, count, after_batch)
        tell = functools.partial(
            self.engine.tell, what=told.head, batch_size=batch_size, report=report
        )
        return kept_of(tell, told, examples)

    def score(
        self,
        inputs: Sequence[Ids],
        targets: Sequence[Ids],
        *,
        batch_size: int,
        label: str,
        after_batch: Callable[[], None] = lambda: None,
    ) -> list[Float32[np.ndarray, " _length"]]:
        """The log-probability of each token of each target, given its input."""
        report = _reporting(label, len(inputs), after_batch)
        return self.engine.score(
            inputs,
            targets,
            batch_size=batch_size,
            hidden_states=self.hidden_states,
            report=report,
        )


def asked_of(examples: Sequence[Example], *, of_each_token: bool) -> list[Asked]:
    """What an encoder is asked of each example: something at its first position, or at all."""
    found = []
    for example, ids in zip(examples, inputs_of(examples), strict=True):
        types = np.asarray(example.get("token_types", np.zeros_like(ids)))
        framed = Framed(ids.tolist(), types.tolist())
        found.append(Asked(framed, None if of_each_token else 0))
    return found


def asked_for(example: Example, told: Told) -> list[Asked]:
    """The same of all parts of an example that are read for its answer."""
    return asked_of(told.parts(example), of_each_token=told.of_each_token)


def kept_of(
    tell: Callable[[Sequence[Asked]], Sequence[Float32[np.ndarray, "..."]]],
    told: Told,
    examples: Sequence[Example],
) -> Float[np.ndarray, "examples _numbers"]:
    """What is kept of what `tell` gives of what is asked."""
    outputs = told_of_each(tell, [asked_for(example, told) for example in examples])
    pairs = zip(outputs, examples, strict=True)
    return np.stack([told.reduce(own, example) for own, example in pairs])


def _reporting(label: str, examples: int, after_batch: Callable[[], None]) -> Report:
    progress = progress_of(label, examples)

    def report(done: int, written: int) -> None:
        progress(done, written)
        after_batch()

    return report


def make_predictor(config: PredictionConfig, dataset: DatasetConfig) -> Predictor:
    """Checks a job's data and mesh, then restores its checkpoints."""
    partitioner = make_partitioner(config.partitioning)
    paths = (config.checkpoint_path, *config.ensemble_paths)
    found = restored.describe(paths, config.model, config.ensemble)
    model = found.model
    scorer(found.models, config.hidden_states)  # what it refuses is refused before all is read
    checks.check_dataset(dataset, model.features, vocab_size=model.vocab_size, is_decoded=True)
    compilation_cache.enable(absolute(config.output_dir), enabled=config.compilation_cache)
    if model.layout is not Layout.ENCODER:
        say(f"decoding: {config.decoding.describe()}")
    sentinel = first_sentinel(dataset.mixture_or_task_name)
    return Predictor(
        found.engine(partitioner, first_sentinel=sentinel, weights=config.weights),
        found.step,
        config.decoding,
        config.hidden_states,
    )
