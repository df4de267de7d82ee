"""The place where experiments run: OUTPUT/{vocabulary.model, vocabulary.bpe, runs, results ...}.

Every command is one of `t5x_lite`, called in this process so that nothing is imported or compiled
twice. What is finished is not run again, and what was killed goes on from its checkpoint: a run's
folder holds `<what>.json` with the command and its times once it is done.
"""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Callable, Sequence

from etils import epath

from benchmarks.experiments import runs
from benchmarks.experiments.given import NOTHING, Given
from benchmarks.experiments.runs import Run, Settings
from t5x_lite.checkpoints.folders import folder_of


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of everything: as published, or a miniature that shows that it works."""

    pieces: int = 3_996
    vocabulary_lines: int = 20_000
    vocabulary_tasks: tuple[str, ...] = (
        "experiments_wikitext",
        "experiments_ende",
        "experiments_sst2",
    )
    num_examples: int | None = None
    num_seeds: int = 3
    # Of every number of steps; at least 2 remain.
    fraction: float = 1.0

    def steps(self, full: int) -> int:
        """So many steps where the full experiment makes `full`."""
        return max(2, round(full * self.fraction))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A file under OUTPUT, of a kind that `t5x_lite vocab` knows, trained on the texts of tasks
    (None: those of the scale), with so large a share of the scale's pieces.
    """

    file: str
    kind: str | None = None
    tasks: tuple[str, ...] | None = None
    share: float = 1.0


SENTENCEPIECE, BYTE_PAIR, WORD_PIECE = "sentencepiece", "bpe", "wordpiece"
CAPTION_WORD_PIECE, BILINGUAL = "wordpiece of captions", "wordpiece of two languages"
ONE_TEXT, FEW_PIECES, FEW_WORD_PIECES = "one text", "few pieces", "few word pieces"
_WIKITEXT = ("experiments_wikitext",)
VOCABULARIES = {
    SENTENCEPIECE: Vocabulary("vocabulary.model"),
    BYTE_PAIR: Vocabulary("vocabulary.bpe", "bpe", ("experiments_wikitext_lm",)),
    WORD_PIECE: Vocabulary("vocabulary.wordpiece", "wordpiece", _WIKITEXT),
    CAPTION_WORD_PIECE: Vocabulary(
        "captions.wordpiece",
        "wordpiece",
        ("experiments_captions_masked_for_detection",),
        share=0.25,
    ),
    BILINGUAL: Vocabulary(
        "bilingual.wordpiece",
        "wordpiece",
        ("experiments_bilingual_masked_full_sentences",),
        share=0.5,
    ),
    ONE_TEXT: Vocabulary("wikitext.model", None, _WIKITEXT),
    FEW_PIECES: Vocabulary("wikitext_few.model", None, _WIKITEXT, share=0.25),
    FEW_WORD_PIECES: Vocabulary("few.wordpiece", "wordpiece", _WIKITEXT, share=0.25),
}
FULL = Scale()
MINIATURE = Scale(
    pieces=924,
    vocabulary_lines=1_000,
    vocabulary_tasks=("experiments_wikitext",),
    num_examples=8,
    num_seeds=1,
    fraction=1 / 1_000,
)


class Lab:
    """Trains and decodes, each thing once."""

    def __init__(
        self,
        output: pathlib.Path,
        scale: Scale = FULL,
        say: Callable[[str], None] = print,
        given: Given = NOTHING,
    ):
        self.output, self.scale, self.given, self._say = output.resolve(), scale, given, say
        self.output.mkdir(parents=True, exist_ok=True)
        self._used: dict[str, list[dict[str, float]]] = {}

    def folder(self, run: Run) -> pathlib.Path:
        """The run's MODEL_DIR."""
        return self.output / "runs" / run.name

    def vocabulary(self, kind: str = SENTENCEPIECE) -> pathlib.Path:
        """A vocabulary of `VOCABULARIES`, trained when it is first needed."""
        row = VOCABULARIES[kind]
        path, tasks = self.output / row.file, row.tasks or self.scale.vocabulary_tasks
        # Sentinels stand behind a SentencePiece model's own pieces.
        size = self._pieces(kind) if row.kind is None else self.vocab_size(kind)
        words = ["vocab", *(f"--task={task}" for task in tasks)]
        words += [f"--module_import={runs.MODULE}", f"--output={path}"]
        words += [f"--size={size}", f"--max_lines={self.scale.vocabulary_lines}"]
        words += [] if row.kind is None else [f"--kind={row.kind}"]
        self._once(self.output, path.name.replace(".model", ""), words, label="vocabulary")
        return path

    def train(self, run: Run) -> pathlib.Path:
        """The MODEL_DIR of the trained run; what it starts from is trained before.

        A run that was killed behind its last step but before it was noted needs no step.
        """
        parent = None if run.directory is None else str(run.directory(self))
        if run.start_from is not None:
            parent = str(_checkpoint(self.train(run.start_from), run.parent_step))
        folder, vocabulary = self.folder(run), run.vocabulary and self.vocabulary(run.vocabulary)
        size = self.vocab_size(run.vocabulary or SENTENCEPIECE)
        run = dataclasses.replace(run, settings={"VOCAB_SIZE": size, **run.settings})
        words = runs.train_words(
            run,
            model_dir=str(folder),
            vocabulary=None if vocabulary is None else str(vocabulary),
            parent_dir=parent,
        )
        is_trained = _checkpoint(folder, run.last_step).is_dir()
        self._once(folder, "train", words, label=run.name, is_done=is_trained)
        return folder

    def decode(
        self,
        run: Run,
        task: str,
        *,
        members: Sequence[Run] = (),
        output: str | None = None,
        settings: Settings | None = None,
    ) -> pathlib.Path:
        """The folder with inference_eval/ of a trained run, or of it and `members` together;
        `settings` override those of all evaluations.
        """
        folder = self.train(run)
        destination = self.output / "runs" / output if output else folder
        words = runs.eval_words(
            run,
            task,
            checkpoint=str(folder),
            output=str(destination),
            num_examples=self.scale.num_examples,
            members=[str(self.train(member)) for member in members],
            settings=settings or {},
        )
        self._once(destination, f"decode_{task}", words, label=output or run.name)
        return destination

    def spent(self) -> dict[str, float]:
        """Seconds by the clock and of all cores together that everything took which was asked for
        since the last call of this function, whenever it was run; what kill -9 ended is not known.
        """
        parts = [part for parts in self._used.values() for part in parts]
        self._used = {}
        return {name: sum(part[name] for part in parts) for name in ("seconds", "cpu_seconds")}

    def vocab_size(self, kind: str = SENTENCEPIECE) -> int:
        """Rows of the embedding for a vocabulary."""
        from t5x_lite.text.special_ids import model_vocab_size

        return model_vocab_size(self._pieces(kind))

    def _pieces(self, kind: str) -> int:
        return round(self.scale.pieces * VOCABULARIES[kind].share)

    def _once(
        self,
        folder: pathlib.Path,
        what: str,
        words: list[str],
        *,
        label: str,
        is_done: bool = False,
    ) -> None:
        """Runs a command of which there is no note yet, and notes it."""
        from t5x_lite import json_lines

        note, parts = folder / f"{what}.json", folder / f"{what}.parts.jsonl"
        if note.exists():
            known = json.loads(note.read_text())
            if known["command"] != words:
                changed = sorted(set(words) ^ set(known["command"]))
                raise ValueError(
                    f"{folder} was made with other settings ({', '.join(changed)}): remove it to "
                    "run it again, or give another --output."
                )
            self._used[str(note)] = known["parts"]
            return
        folder.mkdir(parents=True, exist_ok=True)
        if not is_done:
            self._say(f"{label}: {what}")
            began, worked = time.monotonic(), time.process_time()
            try:
                self._call(words, folder / f"{what}.log", label)
            finally:
                part = {"seconds": time.monotonic() - began}
                part["cpu_seconds"] = time.process_time() - worked
                json_lines.append_line(parts, part)
        self._used[str(note)] = json_lines.read_lines(parts) if parts.exists() else []
        json_lines.write_lines(note, [{"command": words, "parts": self._used[str(note)]}])

    def _call(self, words: list[str], log: pathlib.Path, label: str) -> None:
        from t5x_lite import cli

        with log.open("a") as file:
            file.write(f"$ {shlex.join(['t5x_lite', *words])}\n")
            out = Forward(file, label, self._say)
            # A command's errors are for the terminal, too.
            with contextlib.redirect_stdout(out):
                status = cli.main(words)
        if status:
            raise SystemExit(f"{label}: t5x_lite {words[0]} ended with {status}; see {log}")


class Forward(io.TextIOBase):
    """Writes to a log; lines of progress are said as well."""

    def __init__(self, log: io.TextIOBase, label: str, say: Callable[[str], None]):
        self._log, self._label, self._say, self._line = log, label, say, ""

    def write(self, text: str) -> int:
        """Passes everything on at once."""
        self._log.write(text)
        self._log.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if line.startswith(("train ", "eval ", "step ")):
                self._say(f"  {self._label}  {line}")
        return len(text)


def share_compilations(folder: pathlib.Path) -> None:
    """Programs compiled by one run serve the others; called before JAX is imported."""
    assert "jax" not in sys.modules, "JAX has read its environment"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"


def _checkpoint(model_dir: pathlib.Path, step: int) -> epath.Path:
    return folder_of(epath.Path(model_dir), step)
