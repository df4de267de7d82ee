"""Reads a bounded part of a task or mixture and finds out what it holds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from t5x_lite.data import checks, prompts, samples
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import EvaluationTask, Example, evaluation_tasks
from t5x_lite.data.mixture_shares import mixture_shares
from t5x_lite.data.pieces import Kind, Piece, Pieces
from t5x_lite.data.prompts import Prompt, prompt_of
from t5x_lite.features.layouts import ModelFeatures, layout_of, written
from t5x_lite.inspection.findings import (
    Findings,
    Share,
    ShownExample,
    ShownFeature,
    TaskFindings,
)
from t5x_lite.inspection.statistics import FeatureStatistics, feature_statistics, tokens_drawn

DEFAULT_LENGTH = 512
_NUM_DRAWS = 100_000
# (what is read, how many examples of it at most) -> what is told of each.
Progress = Callable[[str, int], Callable[[int], object]]


def _silent(what: str, total: int) -> Callable[[int], object]:
    return lambda count: None


def gather(
    name: str,
    *,
    split: str = "train",
    lengths: Mapping[str, int] | None = None,
    num_examples: int | None = None,
    max_sample: int = 2000,
    seed: int = 0,
    progress: Progress = _silent,
) -> Findings:
    """Examples, statistics, and for a mixture its shares.

    Args:
        lengths: task feature lengths; None means 512 each, or what the sample suggests.
        num_examples: shown of each task, in the order of the source; None is 3 of a task by
            itself, 1 of each of a mixture's.
        max_sample: examples of each task that statistics are of; 0 leaves statistics out.

    Raises:
        UserError: nothing has this name or this split; lengths of other features; no vocabulary.
    """
    checks.check_mixture_or_task(name)
    tasks = evaluation_tasks(name, split=split)
    features = tuple(tasks[0].task.output_features)
    layout = layout_of(features)
    given = lengths or dict.fromkeys(features, DEFAULT_LENGTH)
    checks.check_lengths(name, given, layout)
    config = DatasetConfig(
        mixture_or_task_name=name, split=split, task_feature_lengths=given, seed=seed
    )
    is_mixture = not checks.is_task(name)
    if num_examples is None:
        num_examples = 1 if is_mixture else 3
    found = [_task(task, config, num_examples, max_sample, progress) for task in tasks]
    note = ""
    if lengths is None:
        given, note = _suggested(given, found)
        found = [_with_limits(task, given) for task in found]
        config = dataclasses.replace(config, task_feature_lengths=given)
    fill = None
    if max_sample:
        advance = progress("packing", max_sample)
        fill = samples.measure_fill(
            config, ModelFeatures(layout), max_examples=max_sample, advance=advance
        )
    return Findings(
        name=name,
        split=split,
        lengths=given,
        lengths_note=note,
        tasks=found,
        fill=fill,
        shares=_shares(config, found) if is_mixture else (),
        num_draws=_NUM_DRAWS if is_mixture else 0,
    )


def _task(
    task: EvaluationTask,
    config: DatasetConfig,
    num_examples: int,
    max_sample: int,
    progress: Progress,
) -> TaskFindings:
    lengths = config.task_feature_lengths
    assert lengths is not None, "gather sets them"
    pieces = {name: Pieces(f.vocabulary) for name, f in task.task.output_features.items()}
    shown: Sequence[Example] = ()
    if num_examples:
        shown = task.examples(
            split=config.split,
            task_feature_lengths=lengths,
            num_examples=num_examples,
            seed=config.seed,
        )
        if task.told is not None:
            shown = [part for example in shown for part in task.told.parts(example)][:num_examples]
    sample = samples.Sample({}, {}, is_all=False)
    if max_sample:
        advance = progress(task.name, max_sample)
        sample = samples.read_sample(task, config, max_examples=max_sample, advance=advance)
    features = {
        name: feature_statistics(ids, pieces[name], limit=lengths[name])
        for name, ids in sample.ids.items()
    }
    return TaskFindings(
        name=task.name,
        num_source_examples=samples.num_source_examples(task, config.split),
        vocabulary=pieces[written(pieces)].description,
        examples=[_shown(example, pieces, lengths) for example in shown],
        features=features,
        sample_size=max((len(ids) for ids in sample.ids.values()), default=0),
        is_all=sample.is_all,
        unknown_characters=sample.unknown_characters,
    )


def _shown(
    example: Example, pieces: Mapping[str, Pieces], lengths: Mapping[str, int]
) -> ShownExample:
    features = {}
    for name, each in pieces.items():
        if name in example:
            ids = np.asarray(example[name])
            chosen = example.get("target_weights") if name == "targets" else None
            marked = each.split(ids, None if chosen is None else np.asarray(chosen))
            features[name] = ShownFeature(marked, ids.tolist(), lengths[name])
    # The text before tokenization is what the pieces show already.
    texts = {f"{name}_pretokenized" for name in features}
    prompt = prompt_of(example)
    if prompt is not None:
        texts |= prompts.NAMES
        inputs = features["inputs"]
        parts = _prompt_pieces(prompt, str(example["inputs_pretokenized"]), inputs.pieces)
        features["inputs"] = dataclasses.replace(inputs, pieces=parts)
    others = {k: str(v) for k, v in example.items() if k not in features and k not in texts}
    return ShownExample(features, others, prompt)


def _prompt_pieces(prompt: Prompt, text: str, pieces: Sequence[Piece]) -> list[Piece]:
    """The text by its parts, then the end token if there is one."""
    found = []
    for shown in prompt.shown:
        demonstration = shown + prompt.separator
        found.append(Piece(Kind.DEMONSTRATION, demonstration))
        text = text.removeprefix(demonstration)
    ends = [piece for piece in pieces[-1:] if piece.kind is Kind.END]
    return [*found, Piece(Kind.ITEM, text), *ends]


def _suggested(
    lengths: Mapping[str, int], tasks: Sequence[TaskFindings]
) -> tuple[Mapping[str, int], str]:
    """Objectives that corrupt spans fill the inputs, and their targets have a length of their own;
    512 would be mostly padding.
    """
    note = f"not given, so {DEFAULT_LENGTH} each"
    every = [task.features.get("targets") for task in tasks]
    targets = [each for each in every if each is not None]
    corrupted = bool(targets) and all(np.all(each.sentinels > 0) for each in targets)
    longest = max((int(each.lengths.max()) for each in targets), default=0)
    if not corrupted or longest >= lengths["targets"]:
        return lengths, note
    return (
        {**lengths, "targets": longest},
        f"not given, so inputs of {DEFAULT_LENGTH}, which make corrupted targets of {longest}",
    )


def _with_limits(task: TaskFindings, lengths: Mapping[str, int]) -> TaskFindings:
    features: dict[str, FeatureStatistics] = {
        name: dataclasses.replace(each, limit=lengths[name]) for name, each in task.features.items()
    }
    examples = [
        dataclasses.replace(
            example,
            features={
                name: dataclasses.replace(each, limit=lengths[name])
                for name, each in example.features.items()
            },
        )
        for example in task.examples
    ]
    return dataclasses.replace(task, features=features, examples=examples)


def _shares(config: DatasetConfig, tasks: Sequence[TaskFindings]) -> list[Share]:
    counts = samples.draw_counts(config, _NUM_DRAWS)
    rows = mixture_shares(config.mixture_or_task_name, split=config.split)
    shares = {row.name: row.share for row in rows}
    tokens: Mapping[str, float] = {}
    if all(task.features for task in tasks):
        seen = {t.name: sum(each.kept_tokens for each in t.features.values()) for t in tasks}
        tokens = tokens_drawn({name: shares[name] for name in seen}, seen)
    return [
        Share(
            row.name,
            row.rate,
            row.share,
            counts.get(row.name, 0) / _NUM_DRAWS,
            tokens.get(row.name),
        )
        for row in rows
    ]
