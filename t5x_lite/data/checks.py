"""Mistakes in what a job is to read, found before anything is compiled or read."""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping

import seqio

from t5x_lite.data import streams
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.ramp import make_ramp
from t5x_lite.data.source import Source
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import LAYOUTS, Layout, ModelFeatures
from t5x_lite.text.label_vocabulary import LabelVocabulary
from t5x_lite.text.sentencepiece_files import read_sentencepiece
from t5x_lite.text.seqio_vocabulary import padding_of
from t5x_lite.text.special_ids import check_special_ids as check_special_pieces


def is_registered(name: str) -> bool:
    """Whether a task or mixture has this name."""
    return name in _names()


def is_task(name: str) -> bool:
    """Whether it is a task by itself, not a mixture."""
    return name in seqio.TaskRegistry.names()


def _names() -> set[str]:
    return seqio.TaskRegistry.names() | seqio.MixtureRegistry.names()


def check_mixture_or_task(name: str) -> None:
    """Refuses a name that nothing registered, with the nearest that are."""
    if is_registered(name):
        return
    names = _names()
    nearest = difflib.get_close_matches(name, names, n=3)
    known = f"Did you mean {' or '.join(nearest)}?" if nearest else _some(names)
    raise UserError(
        f"No task or mixture is named {name!r}. {known} The module that registers it must be "
        "imported: --module_import=my_tasks, or `import my_tasks` in a gin file."
    )


def check_vocabulary(name: str, vocab_size: int) -> None:
    """Refuses a task whose ids do not fit into a model of `vocab_size`; numbers are none."""
    of_tokens = {each for row in LAYOUTS.values() for each in row.of_tokens}
    for feature_name, feature in seqio.get_mixture_or_task(name).output_features.items():
        if feature_name not in of_tokens:
            continue
        # Of a user's own vocabulary as well, whose library speaks of its own line numbers.
        if path := getattr(feature.vocabulary, "sentencepiece_model_file", None):
            read_sentencepiece(path)
        num_ids = feature.vocabulary.vocab_size
        if num_ids > vocab_size:
            raise UserError(
                f"The vocabulary of {name}'s {feature_name} ({_describe(feature.vocabulary)}) has "
                f"{num_ids} ids, the model's vocab_size is {vocab_size}, so the ids from "
                f"{vocab_size} on have no embedding. Set "
                f"--gin.VOCAB_SIZE={_next_multiple(num_ids, 128)} or use the vocabulary the model "
                "was made for: --gin.VOCABULARY=..."
            )


def check_special_ids(name: str, model: ModelFeatures, *, is_decoded: bool) -> None:
    """Refuses a task whose padding is not the model's, or whose targets do not end as it ends.

    Args:
        is_decoded: also targets without an end token, where decoding could not stop.
    """
    special = model.special
    for feature_name, feature in seqio.get_mixture_or_task(name).output_features.items():
        if feature_name not in model.row.of_tokens:
            continue
        vocabulary = feature.vocabulary
        if isinstance(vocabulary, seqio.SentencePieceVocabulary):
            # SeqIO pads with 0, whatever the model's own piece for it.
            pieces, source = vocabulary.tokenizer, vocabulary.sentencepiece_model_file
            special_ids = pieces.pad_id(), pieces.eos_id(), pieces.unk_id()
            check_special_pieces(*special_ids, source=source)
        pad, eos = padding_of(vocabulary), vocabulary.eos_id
        ends = {special.end} if is_decoded else {special.end, None}
        if pad not in (special.padding, None) or (feature_name == "targets" and eos not in ends):
            raise UserError(
                f"{name}: the vocabulary of {feature_name} ({_describe(vocabulary)}) has "
                f"pad_id={pad}, eos_id={eos}; needed are {special.padding} and {special.end}, with "
                "which the model's rows are padded and texts end: use the vocabulary the model was "
                "made for, --gin.VOCABULARY=..., or number its tokens so."
            )


def check_prompts(name: str, features: ModelFeatures) -> None:
    """Refuses inputs that end with the end token for a language model that is asked without one."""
    inputs = seqio.get_mixture_or_task(name).output_features.get("inputs")
    apart = (Layout.ENCODER_DECODER, Layout.ENCODER)
    if features.layout in apart or inputs is None or features.prompts.end_token:
        return
    if inputs.add_eos:
        raise UserError(
            f"the inputs of {name} end with the end token (add_eos=True), but the model is asked "
            "without one (PromptConfig.end_token=False), so it would answer what it was not "
            "trained for: --gin.PromptConfig.end_token=True, or seqio.Feature(..., add_eos=False)."
        )


def check_positions(config: DatasetConfig, features: ModelFeatures) -> None:
    """Refuses rows that are longer than the positions that a model learns."""
    lengths = config.task_feature_lengths or {}
    if (longest := features.too_long(lengths, config.prompt_length)) is not None:
        raise UserError(
            f"task_feature_lengths={dict(lengths)} make rows of {longest} tokens, but the model "
            f"learns {features.max_length} positions (LearnedPositionsConfig.max_length): needed "
            "are rows as long at most: --gin.TASK_FEATURE_LENGTHS=..."
        )


def check_classes(name: str, features: ModelFeatures) -> None:
    """Refuses a task of more or fewer classes than the model's head tells."""
    classes = seqio.get_mixture_or_task(name).output_features.get("classes")
    if classes is None or not isinstance(classes.vocabulary, LabelVocabulary):
        return
    labels = classes.vocabulary.labels
    if features.num_classes not in (None, len(labels)):
        raise UserError(
            f"{name} has the classes {', '.join(labels)}, but the model's head tells "
            f"{features.num_classes}: needed is --gin.NUM_CLASSES={len(labels)} "
            f'--gin.LABELS="{labels}".'
        )


_CHOOSE_SPLIT = (
    "--gin.SPLIT=... in eval and infer, --gin.train_eval/DatasetConfig.split=... in training (or "
    "--gin.TrainConfig.eval_dataset=None, which scores no held-out examples)."
)


def check_split(name: str, split: str, *, instead: str = _CHOOSE_SPLIT) -> None:
    """Refuses a split that no task of `name` has; `train[:10%]` is looked up as train.

    Args:
        instead: by what another one is chosen.
    """
    splits = seqio.get_mixture_or_task(name).splits
    if split.partition("[")[0] not in splits:
        nearest = difflib.get_close_matches(split, splits, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise UserError(
            f"{name} has no split {split!r}: {hint}It has {', '.join(sorted(splits))}. Choose one: "
            f"{instead}"
        )


def held_out_split(name: str, *, first: str | None = None) -> str | None:
    """What a task is evaluated on if nobody says: `first` if it has that split, else its test
    split, else its validation split.

    A test split whose labels are not published comes last.
    """
    check_mixture_or_task(name)
    provider = seqio.get_mixture_or_task(name)
    if first is not None and first.partition("[")[0] in provider.splits:
        return first
    splits = [split for split in ("test", "validation") if split in provider.splits]
    labelled = [split for split in splits if all_have_labels(provider, split)]
    return next(iter([*labelled, *splits]), None)


def all_have_labels(provider: seqio.Task | seqio.Mixture, split: str) -> bool:
    """False where a task's source says that the labels of the split are not published.

    Sources say it by `splits_without_labels`, as those of t5x_lite.tasks do.
    """
    name = split.partition("[")[0]
    sources = [task.source for task in seqio.get_subtasks(provider) if name in task.splits]
    return not any(name in getattr(source, "splits_without_labels", ()) for source in sources)


def check_lengths(name: str, lengths: Mapping[str, int] | None, layout: Layout) -> None:
    """Refuses lengths of other features than the task's, and layouts the task cannot feed."""
    features = tuple(seqio.get_mixture_or_task(name).output_features)
    _check_features(name, features, layout)
    as_needed = _lengths_beside(features, dict.fromkeys(features, 512), layout)
    example = ", ".join(f"'{feature}': {length}" for feature, length in as_needed.items())
    short_form = ",".join(f"{feature}={length}" for feature, length in as_needed.items())
    needed = (
        f'needed are the lengths of its features: --gin.TASK_FEATURE_LENGTHS="{{{example}}}" '
        f"(t5x_lite inspect: --lengths={short_form})."
    )
    if lengths is None:
        raise UserError(f"No task feature lengths were given for {name}; {needed}")
    if set(lengths) != set(features):
        raise UserError(
            f"task_feature_lengths={dict(lengths)} do not match {name}, which has the features "
            f"{', '.join(features)}; {needed}"
        )
    if dict(lengths) != (fitting := _lengths_beside(features, lengths, layout)):
        raise UserError(
            f"task_feature_lengths={dict(lengths)}: what stands beside inputs in {name} has a "
            f"length that follows from it; needed is {fitting}: --gin.TASK_FEATURE_LENGTHS=..."
        )


def _lengths_beside(
    features: Collection[str], lengths: Mapping[str, int], layout: Layout
) -> dict[str, int]:
    """The lengths with those of features that stand beside others as they have to be."""
    made = LAYOUTS[layout].made_of(features)
    return dict(lengths) | {f.beside: f.length_beside(lengths) for f in made if f.beside}


def _check_features(name: str, features: Collection[str], layout: Layout) -> None:
    row = LAYOUTS[layout]
    read = row.read
    if missing := [part for part in row.needed if part not in features]:
        raise UserError(
            f"{name} has no {' and no '.join(missing)}, only {', '.join(features)}, but the model "
            f"reads {' and '.join(read)} ({layout.value}): use a task that has them, or, for "
            "targets alone, the LM architecture."
        )
    if unread := [feature for feature in features if feature not in read]:
        raise UserError(
            f"{name} has the features {', '.join(features)}, but the model reads only "
            f"{' and '.join(read)} ({layout.value}): leave {' and '.join(unread)} out of the "
            "output_features of the task."
        )


def num_data_shards(config: DatasetConfig, process_count: int) -> int:
    """The number of independent streams, after a check that batches and processes divide."""
    shards = process_count if config.num_data_shards is None else config.num_data_shards
    if shards < 1 or shards % process_count:
        raise UserError(
            f"num_data_shards={shards} cannot be split over {process_count} processes, each of "
            "which reads as many: the next number that fits is "
            f"{_next_multiple(shards, process_count)}."
        )
    if config.batch_ramp is not None:
        _check_ramp(config, shards)
    if config.batch_size < 1 or config.batch_size % shards:
        below = config.batch_size // shards * shards
        sizes = [str(below)] if below else []
        sizes.append(str(_next_multiple(config.batch_size, shards)))
        raise UserError(
            f"batch_size={config.batch_size} cannot be split over {shards} data shards: the next "
            f"sizes that fit are {' and '.join(sizes)}: --gin.BATCH_SIZE=..."
        )
    return shards


def _check_ramp(config: DatasetConfig, shards: int) -> None:
    rows = make_ramp(config).rows_at_once
    if rows % shards:
        raise UserError(
            f"batch_ramp has sizes that are multiples of {rows} rows, which cannot be split over "
            f"{shards} data shards: needed are --gin.BatchRampConfig.start=..., "
            f"--gin.BatchRampConfig.increment=... and --gin.BATCH_SIZE=... that {shards} divides."
        )


def check_dataset(
    config: DatasetConfig,
    features: ModelFeatures,
    *,
    vocab_size: int,
    process_count: int = 1,
    is_decoded: bool = False,
) -> None:
    """All of the checks above for one job; reads no example, but what sources keep in memory.

    Args:
        is_decoded: texts are generated, so they need an end; training needs lengths, without which
            evaluation takes the longest example's.
    """
    for check in _checks(
        config,
        features,
        vocab_size=vocab_size,
        process_count=process_count,
        is_decoded=is_decoded,
    ):
        check()
    for task in streams.tasks_with_split(
        seqio.get_mixture_or_task(config.mixture_or_task_name), config.split
    ):
        is_ours = isinstance(task.source, Source)
        if is_ours and not streams.reads_cache(task, config.use_cached, config.split):
            task.source.check(config.split)


def problems(
    config: DatasetConfig,
    features: ModelFeatures | None,
    *,
    vocab_size: int | None,
    process_count: int = 1,
    is_decoded: bool = False,
) -> list[str]:
    """Everything that `check_dataset` would refuse, where it stops at the first.

    Args:
        features: None leaves lengths and special tokens unchecked.
        vocab_size: None leaves vocabularies unchecked, whose files may not be there.
    """
    found = []
    for check in _checks(
        config,
        features,
        vocab_size=vocab_size,
        process_count=process_count,
        is_decoded=is_decoded,
    ):
        try:
            check()
        except UserError as error:
            found.append(str(error))
    return found


def _checks(
    config: DatasetConfig,
    features: ModelFeatures | None,
    *,
    vocab_size: int | None,
    process_count: int,
    is_decoded: bool,
) -> Iterator[Callable[[], object]]:
    """Those that apply; an unknown name leaves nothing else to look at but the batch."""
    name, lengths = config.mixture_or_task_name, config.task_feature_lengths
    yield lambda: check_mixture_or_task(name)
    if is_registered(name):
        yield lambda: check_split(name, config.split)
        if features is not None and (lengths is not None or not is_decoded):
            yield lambda: check_lengths(name, lengths, features.layout)
        if features is not None and vocab_size is not None:
            yield lambda: check_special_ids(name, features, is_decoded=is_decoded)
        if features is not None:
            yield lambda: check_prompts(name, features)
            yield lambda: check_positions(config, features)
            yield lambda: check_classes(name, features)
        if vocab_size is not None:
            yield lambda: check_vocabulary(name, vocab_size)
    if not is_decoded:
        yield lambda: num_data_shards(config, process_count)


def _describe(vocabulary: seqio.Vocabulary) -> str:
    path = getattr(vocabulary, "sentencepiece_model_file", None)
    return f"{path}, sentinels included" if path else type(vocabulary).__name__


def _next_multiple(number: int, of: int) -> int:
    return max(-(-number // of), 1) * of


def _some(names: set[str]) -> str:
    if not names:
        return "No task is registered at all."
    shown = sorted(names)[:10]
    return f"Registered are {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}."
