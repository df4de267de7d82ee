"""The inference job: answers to the examples of a task or a file as jsonl, in T5X's format."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.checkpoints import pretrained
from t5x_lite.checkpoints.manager import absolute
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import restored
from t5x_lite.inference.config import InferConfig, Mode
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.generate import Generated
from t5x_lite.inference.hidden_states import scorer
from t5x_lite.inference.reading import told_of_each
from t5x_lite.inference.reports import SentinelWarning, progress_of, say_programs
from t5x_lite.inference.restored import Restored
from t5x_lite.inference.shards import write_shard
from t5x_lite.inference.sources import Asking, Source, file_source, task_sources
from t5x_lite.inference.wishes import NO_WISHES, Wishes
from t5x_lite.partitioning import compilation_cache
from t5x_lite.partitioning.partitioner import make_partitioner


def infer(config: InferConfig, operative_config: str) -> None:
    """Writes INFER_OUTPUT_DIR/<name>-<mode>.jsonl-<shard>-of-<shards> for a file or for each task
    of a mixture. One line per example, in the order of the examples:

        predict          {"inputs": {...}, "prediction": "text"}
        predict_with_aux the same with "aux": {"scores": s, "log_probs": l}
        score            {"inputs": {...}, "score": s, "aux": {"token_log_probs": [...]}}
        encode           {"inputs": {...}, "embedding": [...]}: the mean over the input's tokens

    With several outputs per example, prediction, scores and log_probs are lists, best first. Of an
    encoder by itself a prediction is what its head tells: the name of a class, a number, or the
    words of an answer; "aux" is {"probabilities": {name: share}} of classes.
    """
    output = absolute(config.output_dir)
    partitioner = make_partitioner(config.partitioning)
    found = restored.describe(
        (config.checkpoint_path, *config.ensemble_paths), config.model, config.ensemble
    )
    first_sentinel, sources = _sources(config, found)
    compilation_cache.enable(output, enabled=config.compilation_cache)
    if config.mode.writes and found.model.layout is not Layout.ENCODER:
        say(f"decoding: {config.decoding.describe()}")
    scorer(found.models, config.hidden_states)  # what it refuses is refused before all is read
    engine = found.engine(partitioner, first_sentinel=first_sentinel, weights=config.weights)
    if jax.process_index() == 0:
        output.mkdir(parents=True, exist_ok=True)
        (output / "infer_config.gin").write_text(operative_config)
    for source in sources:
        shard = source.shard(config.shard_id, config.num_shards)
        warning = SentinelWarning(first_sentinel)
        wishes = _wishes(config, shard, engine)
        wishes.check(config.decoding, len(shard.inputs))
        job = _Job(config, engine, shard, _widths(config, engine, shard), wishes, warning)
        path = write_shard(
            output,
            f"{source.name}-{config.mode.value}",
            shard_id=config.shard_id,
            num_shards=config.num_shards,
            num_examples=len(shard.inputs),
            part_size=config.checkpoint_period * source.batch_size,
            settings=_settings(config, found, shard),
            answer=job.answer,
        )
        warning.say(f"{config.mode.value} {source.name}")
        say(f"{len(shard.inputs)} lines in {path}")


def _widths(config: InferConfig, engine: Engine, shard: Source) -> tuple[int, ...] | None:
    """Of what is decoded, the same for all parts."""
    if not config.mode.writes or shard.asking is not None:
        return None
    widths = engine.widths([len(ids) for ids in shard.read], shard.batch_size)
    say_programs(widths, rows=shard.batch_size)
    return widths


def _wishes(config: InferConfig, shard: Source, engine: Engine) -> Wishes:
    """How outputs are to begin, and how many tokens they have, if targets tell."""
    if not config.of_targets:
        return NO_WISHES
    name = config.of_targets[0]
    if shard.asking is not None:
        raise UserError(
            f"{name}=True of an encoder by itself, which writes nothing: needed is a model with a "
            f"decoder, or --gin.{name.upper()}=False."
        )
    if shard.targets is None:
        raise UserError(
            f"{name}=True, and {shard.name} has an example without targets: add the field "
            '"targets" to each line of a .jsonl file ("" is empty), or use a task with targets.'
        )
    end = engine.special.end
    texts = [[token for token in map(int, ids) if token != end] for ids in shard.targets]
    return Wishes(
        texts if config.prompt_with_targets else None,
        lengths=[len(text) + 1 for text in texts] if config.length_of_targets else None,
    )


def _sources(config: InferConfig, found: Restored) -> tuple[int | None, Iterator[Source]]:
    """The ids from which on sentinels stand, and what is read; TensorFlow only for tasks."""
    if config.input_file is not None:
        tokenizer = found.tokenizer(config.input_file.vocabulary)
        source = file_source(config.input_file, tokenizer, found.model, config.num_examples)
        return tokenizer.first_sentinel, iter([source])
    from t5x_lite.data import checks
    from t5x_lite.data.vocabulary_files import first_sentinel

    dataset = config.dataset
    assert dataset is not None, "InferConfig asks for one of the two"
    model = found.model
    checks.check_dataset(dataset, model.features, vocab_size=model.vocab_size, is_decoded=True)
    sources = task_sources(dataset, config.num_examples)
    return first_sentinel(dataset.mixture_or_task_name), sources


def _settings(config: InferConfig, found: Restored, shard: Source) -> dict[str, Any]:
    """All that decides what a line says: parts of other settings are not joined with these."""
    digest = hashlib.sha256()
    for ids in (*shard.inputs, *(shard.targets or ())):
        digest.update(np.asarray(ids, np.int32).tobytes() + b"|")
    digest.update(json.dumps(list(shard.texts), default=str).encode())
    return {
        # Their content: another one may be written under the same path.
        "checkpoints": [pretrained.identity(each.path) for each in found.found],
        "ensemble": config.ensemble.value,
        "weights": None if config.weights is None else config.weights.value,
        "hidden_states": repr(config.hidden_states),
        "mode": config.mode.value,
        "decoding": repr(config.decoding),
        "width": shard.width,
        "output_ids": config.output_ids,
        "of_targets": config.of_targets,
        "examples": digest.hexdigest(),
    }


@dataclasses.dataclass(frozen=True)
class _Job:
    """A shard of a source and what is done with it, how wide the pools are that decode it, and what
    its examples ask for.
    """

    config: InferConfig
    engine: Engine
    shard: Source
    widths: tuple[int, ...] | None
    wishes: Wishes
    warning: SentinelWarning

    def answer(self, start: int, end: int) -> list[dict[str, Any]]:
        """The lines of some examples."""
        part, mode = self.shard.part(start, end), self.config.mode
        label = f"{mode.value} {part.name}"
        settings: dict[str, Any] = {
            "batch_size": part.batch_size,
            "report": progress_of(label, len(self.shard.inputs), done_before=start),
        }
        if mode is Mode.SCORE:
            answers = self._scores(part, settings)
        elif mode is Mode.ENCODE:
            means = self.engine.encode(part.read, mean=True, **settings)
            answers = [{"embedding": mean.tolist()} for mean in means]
        elif part.asking is not None:
            answers = self._told(part.asking, settings)
        else:
            shard_id, num_shards = self.config.shard_id, self.config.num_shards
            outputs = self.engine.generate(
                part.read,
                self.config.decoding,
                widths=self.widths,
                first_index=shard_id + num_shards * start,
                index_step=num_shards,
                wishes=self.wishes.part(start, end),
                **settings,
            )
            self.warning.look_at(outputs)
            answers = [self._prediction(output) for output in outputs]
        return [
            {"inputs": texts, **answer} for texts, answer in zip(part.texts, answers, strict=True)
        ]

    def _scores(self, part: Source, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
        if part.targets is None:
            raise UserError(
                f"mode=score needs targets, and {part.name} has an example without: add the field "
                '"targets" to each line of a .jsonl file, or use a task with targets.'
            )
        states = self.config.hidden_states
        every = self.engine.score(part.inputs, part.targets, hidden_states=states, **settings)
        return [
            {"score": float(log_probs.sum()), "aux": {"token_log_probs": log_probs.tolist()}}
            for log_probs in every
        ]

    def _told(self, asking: Asking, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
        tell = functools.partial(self.engine.tell, what=asking.head, **settings)
        every = told_of_each(tell, asking.texts)
        said = [say(outputs) for say, outputs in zip(asking.say, every, strict=True)]
        wants_aux = self.config.mode is Mode.PREDICT_WITH_AUX
        return [
            {"prediction": each.text}
            | ({"aux": {"probabilities": dict(each.probabilities)}} if wants_aux else {})
            for each in said
        ]

    def _prediction(self, output: Generated) -> dict[str, Any]:
        decodes = range(len(output.tokens))
        ids = [output.ids(decode) for decode in decodes]
        answer: dict[str, Any] = {"prediction": self._each([self.shard.decode(row) for row in ids])}
        if self.config.output_ids:
            answer["prediction_tokens"] = self._each(ids)
        if self.config.mode is Mode.PREDICT_WITH_AUX:
            scores, log_probs = output.scores.tolist(), output.log_probs.tolist()
            answer["aux"] = {"scores": self._each(scores), "log_probs": self._each(log_probs)}
        return answer

    def _each(self, values: Sequence[Any]) -> Any:
        """A value for each output, or the value of the only one."""
        return list(values) if self.config.decoding.num_decodes > 1 else values[0]
