"""CTranslate2, which its own converter makes of our export."""

import pathlib
import shutil
from collections.abc import Callable, Iterable, Sequence

import ctranslate2
import numpy as np
import transformers

from benchmarks.speed.arm import Prepared, first_seconds, seconds_of, timed
from benchmarks.speed.settings import Settings
from t5x_lite.exporting.to_ctranslate2 import Converter


def decode(settings: Settings, *, kind: str, beams: int = 1) -> Prepared:
    """`translate_batch` with float32 or int8 weights."""
    model = Model(settings, kind)
    inputs = model.pieces(settings.rows()[0])

    def generate() -> list[ctranslate2.TranslationResult]:
        return model.translator.translate_batch(
            inputs, beam_size=beams, max_decoding_length=settings.targets, max_input_length=0
        )

    cold, found = seconds_of(generate)
    tokens = [model.ids(each.hypotheses[0]) for each in found]
    return Prepared(timed(generate), first_seconds(cold), tokens)


def beam(settings: Settings, *, kind: str) -> Prepared:
    """A beam search."""
    return decode(settings, kind=kind, beams=settings.beams)


def score(settings: Settings, *, kind: str) -> Prepared:
    """The log-likelihood of each row of targets, whose end token it puts behind by itself."""
    model = Model(settings, kind)
    inputs, targets = map(model.pieces, settings.rows())
    without_end = [row[:-1] for row in targets]

    def run() -> list[float]:
        found = model.translator.score_batch(inputs, without_end, max_input_length=0)
        return [sum(each.log_probs) for each in found]

    cold, log_probs = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), log_probs)


def convert(directory: pathlib.Path, output: pathlib.Path, *, scale_logits: bool) -> None:
    """Writes a directory for CTranslate2; int8 is made of it when it is loaded."""
    being_written = output.with_suffix(".tmp")
    shutil.rmtree(being_written, ignore_errors=True)
    Converter(str(directory), scale_logits=scale_logits).convert(str(being_written))
    being_written.rename(output)


class Model:
    """A translator, and ids as the texts of pieces, which it reads and writes."""

    def __init__(self, settings: Settings, kind: str) -> None:
        directory = settings.directory
        folder = directory.with_suffix(".ctranslate2")
        if not folder.exists():
            convert(directory, folder, scale_logits=settings.model.scale_logits)
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        self._pieces: Callable[[list[int]], list[str]] = tokenizer.convert_ids_to_tokens
        self.ids: Callable[[Sequence[str]], list[int]] = tokenizer.convert_tokens_to_ids
        self.translator = ctranslate2.Translator(
            str(folder), compute_type=kind, inter_threads=1, intra_threads=settings.threads
        )

    def pieces(self, rows: Iterable[np.ndarray]) -> list[list[str]]:
        """The pieces of each row."""
        return [self._pieces(row.tolist()) for row in rows]
