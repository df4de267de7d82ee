"""augment, which makes more rows of those there are, for a student to learn of."""

import argparse
import dataclasses

from t5x_lite import flags
from t5x_lite.compression.distillation_config import AugmentConfig
from t5x_lite.text_files import text_lines


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "more rows like those of files: words take the places of words, by a masked LM"
    command = flags.add_command(commands, "augment", _augment, summary)
    command.epilog = (
        "example:\n  t5x_lite augment runs/bert --data=train.tsv --field=sentence --keep=label "
        "--output=more.jsonl\n\nA word that is one piece becomes one of those that the model finds "
        "likeliest there, another\none of those with a near vector. Stop words stay, and what is "
        "no word of letters alone.\nOf pairs of texts, augment one field, and the other of what "
        "that wrote."
    )
    command.add_argument(
        "path",
        type=flags.place,
        metavar="CHECKPOINT",
        help="an encoder with a head of masked tokens; or a model directory or a Hugging Face one",
    )
    command.add_argument(
        "--data",
        required=True,
        type=flags.places,
        metavar="PATHS",
        help="txt, tsv, csv, jsonl, parquet or arrow: files, folders or quoted patterns",
    )
    command.add_argument(
        "--output", required=True, type=flags.new_file, metavar="FILE.jsonl", help="what is written"
    )
    command.add_argument(
        "--field", default="text", metavar="NAME", help="the text of each row (default: text)"
    )
    command.add_argument(
        "--keep",
        type=flags.comma_list,
        default=[],
        metavar="NAME,NAME",
        help="other fields, which all that is made of a row has as well, such as its label",
    )
    command.add_argument(
        "--stop_words",
        type=flags.place,
        metavar="FILE",
        help="words that stay, one a line (default: 318 of English)",
    )
    for field in dataclasses.fields(AugmentConfig):
        command.add_argument(
            f"--{field.name}",
            type=field.type,
            default=field.default,
            metavar="X",
            help=f"{_HELP[field.name]} (default: {field.default})",
        )


_HELP = {
    "probability": "with which a word is replaced",
    "copies": "of each row at most",
    "candidates": "for each word at most",
    "seed": "of what is drawn",
}


def _augment(arguments: argparse.Namespace) -> None:
    from t5x_lite.inference.augment import augment

    given = {
        field.name: getattr(arguments, field.name) for field in dataclasses.fields(AugmentConfig)
    }
    augment(
        arguments.path,
        arguments.data,
        arguments.output,
        field=arguments.field,
        keep=arguments.keep,
        stop_words=_stop_words(arguments.stop_words),
        config=AugmentConfig(**given),
    )


def _stop_words(path: str | None) -> frozenset[str]:
    if path is not None:
        return frozenset(line.strip().lower() for line in text_lines(path))
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
