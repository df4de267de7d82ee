"""CTranslate2, which its own converter makes of our export."""

import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence

import ctranslate2
import numpy as np
import transformers

from benchmarks.speed import families
from benchmarks.speed.arm import Prepared, first_seconds, seconds_of, timed
from benchmarks.speed.settings import Settings
from t5x_lite.exporting.to_ctranslate2 import Converter

# Rows of pieces, which CTranslate2 reads and writes as texts.
Pieces = Sequence[Sequence[str]]


def decode(settings: Settings, *, kind: str, beams: int = 1) -> Prepared:
    """Greedy decoding, or a beam search, with float32 or int8 weights."""
    model = model_of(settings, kind)
    prompts = model.pieces(settings.rows()[0])

    def generate() -> Pieces:
        return model.write(prompts, beams=beams, length=settings.targets)

    cold, found = seconds_of(generate)
    return Prepared(timed(generate), first_seconds(cold), [model.ids(each) for each in found])


def beam(settings: Settings, *, kind: str) -> Prepared:
    """A beam search."""
    return decode(settings, kind=kind, beams=settings.beams)


def score(settings: Settings, *, kind: str) -> Prepared:
    """The log-likelihood of each row of what is predicted."""
    model = model_of(settings, kind)
    run = model.scorer(*map(model.pieces, settings.predicted_rows()))
    cold, log_probs = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), log_probs)


def convert(directory: pathlib.Path, output: pathlib.Path, *, scale_logits: bool) -> None:
    """Writes a directory for CTranslate2; int8 is made of it when it is loaded."""
    being_written = output.with_suffix(".tmp")
    shutil.rmtree(being_written, ignore_errors=True)
    Converter(str(directory), scale_logits=scale_logits).convert(str(being_written))
    being_written.rename(output)


class _Converted:
    """A converted model, and ids as the texts of pieces."""

    def __init__(self, settings: Settings, kind: str) -> None:
        directory = settings.directory
        folder = directory.with_suffix(".ctranslate2")
        if not folder.exists():
            convert(directory, folder, scale_logits=settings.model.scale_logits)
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        self._pieces: Callable[[list[int]], list[str]] = tokenizer.convert_ids_to_tokens
        self.ids: Callable[[Sequence[str]], list[int]] = tokenizer.convert_tokens_to_ids
        self._start: str = tokenizer.bos_token
        self._where = str(folder)
        threads = settings.threads
        self._how = {"compute_type": kind, "inter_threads": 1, "intra_threads": threads}

    def pieces(self, rows: Iterable[np.ndarray]) -> Pieces:
        """The pieces of each row."""
        return [self._pieces(row.tolist()) for row in rows]


class Translator(_Converted):
    """An encoder-decoder."""

    def __init__(self, settings: Settings, kind: str) -> None:
        super().__init__(settings, kind)
        self._model = ctranslate2.Translator(self._where, **self._how)

    def write(self, prompts: Pieces, *, beams: int, length: int) -> Pieces:
        """What is written, at most so many pieces a row."""
        found = self._model.translate_batch(
            prompts, beam_size=beams, max_decoding_length=length, max_input_length=0
        )
        return [each.hypotheses[0] for each in found]

    def scorer(self, read: Pieces, predicted: Pieces) -> Callable[[], list[float]]:
        """What gives the log-likelihood of each row; it puts the end token behind by itself."""
        without_end = [row[:-1] for row in predicted]

        def run() -> list[float]:
            found = self._model.score_batch(read, without_end, max_input_length=0)
            return [sum(each.log_probs) for each in found]

        return run


class Generator(_Converted):
    """A language model."""

    def __init__(self, settings: Settings, kind: str) -> None:
        super().__init__(settings, kind)
        self._model = ctranslate2.Generator(self._where, **self._how)

    def write(self, prompts: Pieces, *, beams: int, length: int) -> Pieces:
        """What is written behind prompts that are read at once, at most so many pieces a row."""
        found = self._model.generate_batch(
            prompts, beam_size=beams, max_length=length, include_prompt_in_result=False
        )
        return [each.sequences[0] for each in found]

    def scorer(self, read: Pieces, predicted: Pieces) -> Callable[[], list[float]]:
        """What gives the log-likelihood of each row behind a start token; nothing is read before,
        and no end token is put behind.
        """
        rows = [[self._start, *row] for row in predicted]

        def run() -> list[float]:
            found = self._model.score_batch(rows, max_input_length=0)
            return [sum(each.log_probs) for each in found]

        return run


_FAMILIES: Mapping[str, type[Translator] | type[Generator]] = {
    families.T5.name: Translator,
    families.GPT2.name: Generator,
}


def model_of(settings: Settings, kind: str) -> Translator | Generator:
    """The model of the arms, with float32 or int8 weights."""
    return _FAMILIES[settings.family.name](settings, kind)
