"""The kinds of input: what is mutated, and which way in it takes.

A kind is a strategy of cases and a function that tries one in a folder of its own. What is tried
ends before a step is trained or a batch decoded.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from etils import epath
from hypothesis import strategies as st

from benchmarks.bad_input.mutations import (
    GIN_VALUES,
    OTHER_KINDS,
    changed_bytes,
    changed_gin,
    changed_json_file,
)
from benchmarks.bad_input.outcomes import Result, of_call, of_command

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_HUGGING_FACE = _ROOT / "tests" / "references" / "huggingface" / "t5_v1_1"
_JOB = [
    "--gin_file=models/t5_1_1/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--gin.MODEL_DIR=run",
    "--gin.MIXTURE_OR_TASK_NAME=task",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}",
    "--gin.TRAIN_STEPS=10",
    "--gin.VOCAB_SIZE=384",
]


NAMES = (
    "gin files",
    "flags of jobs",
    "flags of other commands",
    "vocabularies",
    "Hugging Face directories",
    "checkpoints",
    "lines to infer",
    "files of tasks",
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of input, under the name that results give it, and a case that has to be taken."""

    name: str
    cases: st.SearchStrategy[Any]
    attempt: Callable[[Any, pathlib.Path], Result]
    good: Any


def every(materials: pathlib.Path) -> list[Kind]:
    """All kinds; what they mutate is made in a folder once."""
    vocabulary = _vocabulary(materials / "good.model")
    checkpoint = _checkpoint(materials / "run")
    task = _TASK_FILES[1]
    tokenizer, weights = vocabulary.read_bytes(), (_HUGGING_FACE / "model.safetensors").read_bytes()
    scores = (checkpoint / "evaluation_scores.jsonl").read_bytes()
    return [
        Kind(NAMES[0], _gin_files(), _try_gin, good=b"X = 3\nBATCH_SIZE = %X"),
        Kind(NAMES[1], st.lists(_bindings(), min_size=1, max_size=3), _try_job, good=[]),
        Kind(NAMES[2], _commands(), _try_command, good=["inspect", f"{_HUGGING_FACE}/"]),
        Kind(NAMES[3], changed_bytes(tokenizer), _try_vocabulary, good=tokenizer),
        Kind(
            NAMES[4],
            _changed_file(_HUGGING_FACE),
            _try_hugging_face,
            good=("model.safetensors", weights),
        ),
        Kind(
            NAMES[5],
            _changed_checkpoint(checkpoint),
            _checkpoint_attempt(checkpoint),
            good=("evaluation_scores.jsonl", scores, True),
        ),
        Kind(NAMES[6], _input_files(), _try_lines, good=("x.txt", b"a\n\nb")),
        Kind(NAMES[7], st.sampled_from(_TASK_FILES).flatmap(_task_file), _try_task, good=task),
    ]


def _gin_files() -> st.SearchStrategy[Any]:
    names = ["models/t5_1_1/tiny.gin", "models/t5_1_1.gin", "recipes/pretrain.gin"]
    names += ["recipes/train.gin", "recipes/adamw.gin", "finetuning/lora.gin"]
    texts = {name: (_ROOT / "gin" / name).read_text() for name in names}
    return st.sampled_from(names).flatmap(lambda name: changed_gin(texts[name]))


def _try_gin(content: bytes, folder: pathlib.Path) -> Result:
    (folder / "x.gin").write_bytes(content)
    return of_command(["train", *_JOB, f"--gin_file={folder / 'x.gin'}", "--dry_run"])


@st.composite
def _bindings(draw: st.DrawFn) -> str:
    """A macro or field of a job, with a value that is perhaps none of it."""
    macros = ["EMBED_DIM", "NUM_HEADS", "HEAD_DIM", "MLP_DIM", "VOCAB_SIZE", "RANDOM_SEED"]
    macros += ["BATCH_SIZE", "MODEL_DIR", "LEARNING_RATE", "Z_LOSS", "TRAIN_STEPS", "DROPOUT_RATE"]
    macros += ["TASK_FEATURE_LENGTHS", "LEARNING_RATE_FACTORS", "INITIAL_CHECKPOINT_PATH"]
    macros += ["RelativeBiasConfig.num_buckets", "ModelConfig.encoder", "NO_SUCH_MACRO", ""]
    name, value = draw(st.sampled_from(macros)), draw(st.sampled_from(GIN_VALUES) | st.text())
    flag = draw(st.sampled_from(("--gin.", "--gin.", "--gin_bindings=", "--gin_file=", "--")))
    return f"{flag}{name}={value}" if flag != "--gin_file=" else f"{flag}{value}"


def _try_job(words: list[str], folder: pathlib.Path) -> Result:
    with contextlib.chdir(folder):
        return of_command(["train", *_JOB, "--dry_run", *words])


# Flags that take a number, and those that take a path or a name.
_OF_DEVICES = ("--cpu_devices", "--initialization_timeout", "--process_count", "--process_index")
_FLAGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "inspect": (
        ("--seed", "--sample", "--examples", "--lengths"),
        ("--html", "--vocabulary", "--task_files", "--module_import"),
    ),
    "compare": (("--seed", "--num_resamples"), ("--output", "--module_import")),
    "report": ((), ()),
    "replay": (_OF_DEVICES, ("--gin_bindings",)),
    "eval": (_OF_DEVICES, ("--gin_file", "--gin_search_paths", "--module_import")),
    "infer": ((*_OF_DEVICES, "--shard_id"), ("--gin_file", "--gin.INPUT_FILE")),
}


@st.composite
def _commands(draw: st.DrawFn) -> list[str]:
    """A command that needs no data, with odd paths and numbers."""
    paths = ["/dev/zero", "/dev/null", "/nonexistent/x", "", " ", ".", "http://h/x", "s3://b/x"]
    paths += ["~nosuchuser/x", "x" * 5000, "a\0b", "/proc/self/mem", "/etc/passwd", "--", "-x"]
    numbers = ("-1", "0", "nan", "inf", "1e9", "9" * 30, "9" * 5000, "", "1.5", "٣", "x")
    path, number = st.sampled_from(paths), st.sampled_from(numbers)
    command = draw(st.sampled_from(sorted(_FLAGS)))
    words = [command, *(draw(path) for _ in range(draw(st.integers(1, 2))))]
    if command in ("eval", "infer"):
        words = [command, f"--gin.CHECKPOINT_PATH={draw(path)}", "--dry_run"]
    numeric, of_paths = _FLAGS[command]
    for names, values in ((numeric, number), (of_paths, path)):
        if len(names) > 0 and draw(st.booleans()):
            words.append(f"{draw(st.sampled_from(names))}={draw(values)}")
    return words


def _try_command(words: list[str], folder: pathlib.Path) -> Result:
    with contextlib.chdir(folder):
        return of_command(words)


def _vocabulary(path: pathlib.Path) -> pathlib.Path:
    from t5x_lite.text.training import train_sentencepiece

    lines = [f"the {word} sat on the {word} mat" for word in ("cat", "dog", "rat", "owl")] * 50
    train_sentencepiece({"text": lines}, path, vocab_size=20, report_progress=lambda _: None)
    return path


def _try_vocabulary(content: bytes, folder: pathlib.Path) -> Result:
    from t5x_lite.text.default_vocabulary import set_default_vocabulary
    from t5x_lite.text.seqio_vocabulary import DefaultVocabulary
    from t5x_lite.text.tokenizer import named_tokenizer

    path = folder / "x.model"
    path.write_bytes(content)

    def read() -> None:
        tokenizer = named_tokenizer(path)
        tokenizer.decode(tokenizer.encode("the cat sat on the mat"))
        set_default_vocabulary(path)
        DefaultVocabulary().encode("the cat sat on the mat")

    try:
        return of_call(read)
    finally:
        set_default_vocabulary(None)


@st.composite
def _changed_file(draw: st.DrawFn, directory: pathlib.Path) -> tuple[str, bytes]:
    """One file of a Hugging Face directory, changed; or an index beside it."""
    name = draw(st.sampled_from(("config.json", "config.json", "model.safetensors", "index")))
    if name == "config.json":
        return name, draw(changed_json_file((directory / name).read_bytes()))
    if name == "model.safetensors":
        content = (directory / name).read_bytes()
        header = int.from_bytes(content[:8], "little")
        if draw(st.booleans()):
            return name, draw(changed_bytes(content))
        changed = draw(changed_json_file(content[8 : 8 + header]))
        return name, len(changed).to_bytes(8, "little") + changed + content[8 + header :]
    index = {"metadata": {"total_size": 3}, "weight_map": {"shared.weight": "model.safetensors"}}
    return "model.safetensors.index.json", draw(changed_json_file(json.dumps(index).encode()))


def _try_hugging_face(case: tuple[str, bytes], folder: pathlib.Path) -> Result:
    from t5x_lite.checkpoints import huggingface

    for file in ("config.json", "model.safetensors"):
        shutil.copy(_HUGGING_FACE / file, folder)
    (folder / case[0]).write_bytes(case[1])
    result = of_command(["inspect", f"{folder}/"])
    return of_call(lambda: huggingface.load(folder)) if result.is_fine else result


def _checkpoint(directory: pathlib.Path) -> pathlib.Path:
    import jax.numpy as jnp

    from t5x_lite.checkpoints import description, manager
    from t5x_lite.checkpoints.config import SaveCheckpointConfig
    from t5x_lite.testing import tiny_model

    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig())
    said = description.describe_run(
        "import t5x_lite.tasks.demo\nX = 3\n",
        tiny_model(vocab_size=384),
        dataset={"mixture_or_task_name": "t", "task_feature_lengths": {"inputs": 8, "targets": 8}},
    )
    state = {"step": jnp.int32(4), "parameters": {"a": jnp.ones(2)}}
    files = {"vocabulary": {"vocabulary.json": b'{"kind": "bytes", "extra_ids": 0}'}}
    checkpoints.save(4, state, said, files)
    checkpoints.record(4, {"t/loss": 1.5})
    checkpoints.close()
    return directory


@st.composite
def _changed_checkpoint(draw: st.DrawFn, run: pathlib.Path) -> tuple[str, bytes, bool]:
    """A file of a model directory, its new content, and whether the manifest is made to fit."""
    names = ["checkpoint_4/config/metadata", "checkpoint_4/manifest.json"]
    names += ["checkpoint_4/vocabulary/vocabulary.json", "evaluation_scores.jsonl"]
    names += ["checkpoint_4/state/_METADATA", "checkpoint_4/state/manifest.ocdbt"]
    name = draw(st.sampled_from(names))
    content = (run / name).read_bytes()
    is_json = name.endswith(("json", "metadata", "_METADATA"))
    return (
        name,
        draw((changed_json_file if is_json else changed_bytes)(content)),
        draw(st.booleans()),
    )


def _checkpoint_attempt(run: pathlib.Path) -> Callable[[Any, pathlib.Path], Result]:
    def attempt(case: tuple[str, bytes, bool], folder: pathlib.Path) -> Result:
        from t5x_lite.checkpoints import manifest

        name, content, fits = case
        shutil.copytree(run, folder, dirs_exist_ok=True)
        (folder / name).write_bytes(content)
        written = epath.Path(folder / "checkpoint_4" / "manifest.json")
        with contextlib.suppress(ValueError, AttributeError, TypeError, KeyError, RecursionError):
            facts = json.loads(written.read_text())
            facts.pop("sum")
            if fits and name.startswith("checkpoint_4/") and not name.endswith("manifest.json"):
                facts["files"][name.partition("/")[2]] = manifest._sum(epath.Path(folder / name))
            if fits:
                facts["sum"] = manifest._sum_of_content(facts)
                written.write_text(json.dumps(facts))
        result = of_command(["inspect", f"{folder}/"])
        words = ["infer", f"--gin.CHECKPOINT_PATH={folder}", "--gin.INPUT_FILE=x", "--dry_run"]
        return of_command(words) if result.is_fine else result

    return attempt


def _input_files() -> st.SearchStrategy[Any]:
    row = json.dumps({"inputs": "reverse: a b", "targets": "b a", "id": 3}).encode() + b"\n"
    one = changed_json_file(row).map(lambda line: row + line + b"\n")
    odd = st.sampled_from([b'{"inputs": "\\ud800"}\n', b"\xff\n", b"\n\n", *OTHER_KINDS])
    return st.tuples(st.sampled_from(("x.jsonl", "x.txt", "x")), one | odd | changed_bytes(row * 3))


def _try_lines(case: tuple[str, bytes], folder: pathlib.Path) -> Result:
    from t5x_lite import json_lines
    from t5x_lite.inference.config import InputFileConfig
    from t5x_lite.inference.sources import file_source
    from t5x_lite.testing import tiny_model
    from t5x_lite.text.byte_tokenizer import ByteTokenizer

    path = folder / case[0]
    path.write_bytes(case[1])

    def read() -> None:
        file = InputFileConfig(path=str(path))
        source = file_source(file, ByteTokenizer(), tiny_model(vocab_size=384), None)
        json_lines.write_lines(folder / "out", [{"inputs": text} for text in source.texts])

    return of_call(read)


# A task, the file it reads, and what such a file holds.
_TASK_FILES = (
    ("glue_cola_v002", "CoLA/train.tsv", b"gj04\t1\t\tIt rains.\ngj04\t0\t*\tRains it.\n"),
    ("glue_rte_v002", "RTE/train.tsv", b"sentence1\tsentence2\tlabel\na\tb\tentailment\n"),
    ("glue_stsb_v002", "STS-B/train.tsv", b"sentence1\tsentence2\tscore\na\tb\t3.25\n"),
    (
        "super_glue_boolq_v102",
        "BoolQ/train.jsonl",
        b'{"question": "q", "passage": "t", "label": true, "idx": 0}\n',
    ),
    (
        "squad_v010_allanswers",
        "train-v1.1.json",
        b'{"data": [{"title": "t", "paragraphs": [{"context": "It rains.", "qas": [{"id": "a", '
        b'"question": "q", "answers": [{"text": "It", "answer_start": 0}]}]}]}]}',
    ),
    ("dpr_v001_simple", "train.c.txt", b"Ann met Bob as she sat.\nshe\nAnn,Bob\nAnn\n\n"),
    ("wmt16_enro_v003", "train.tsv", b"Hi.\tSalut.\nOh.\tO.\n"),
)


def _task_file(row: tuple[str, str, bytes]) -> st.SearchStrategy[Any]:
    name, file, content = row
    change = changed_json_file if file.endswith(("json", "jsonl")) else changed_bytes
    return st.tuples(st.just(name), st.just(file), change(content))


def _try_task(case: tuple[str, str, bytes], folder: pathlib.Path) -> Result:
    import seqio

    from t5x_lite.data.task_files import set_task_files
    from t5x_lite.tasks import glue, squad, super_glue, translation  # noqa: F401

    name, file, content = case
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)

    def read() -> None:
        dataset = seqio.TaskRegistry.get(name).source.get_dataset("train", shuffle=False)
        list(dataset.as_numpy_iterator())

    set_task_files(os.fspath(folder))
    try:
        return of_call(read)
    finally:
        set_task_files(None)
