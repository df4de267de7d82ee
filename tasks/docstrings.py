"""English from the docstrings of installed packages: to pre-train on, and to classify.

| task                       | inputs                     | targets                   |
|----------------------------|----------------------------|---------------------------|
| docstrings_span_corruption | text with sentinels        | what the sentinels hide   |
| docstrings_prefix_lm       | the beginning of a text    | the rest of it            |
| docstrings_lm              | -                          | texts, one after another  |
| docstrings_library         | `library docstring: ...`   | stdlib, numpy, jax, ...   |

All of them share their splits, which are made by module: what is tested was not
pre-trained on. Texts are as they stand, so many name their library; read the score of
docstrings_library as recognizing a style together with such hints.
"""

import seqio

from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.objectives import documents, table
from t5x_lite.tasks import docstring_texts
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.splits import SPLITS
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

_WITH_EOS = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)
_WITHOUT_EOS = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=False)


def _texts(split: str) -> list[dict[str, str]]:
    return [{"targets": d.text} for d in docstring_texts.load() if d.split == split]


def _library_examples(split: str) -> list[dict[str, str]]:
    return [
        {"inputs": f"library docstring: {d.text}", "targets": d.library, "module": d.module}
        for d in docstring_texts.load()
        if d.split == split
    ]


_TEXTS = InMemorySource(_texts, SPLITS)

seqio.TaskRegistry.add(
    "docstrings_span_corruption",
    source=_TEXTS,
    preprocessors=[
        documents.tokenize,
        table.preprocessor("span_corruption"),
        seqio.preprocessors.append_eos_after_trim,
    ],
    output_features={"inputs": _WITH_EOS, "targets": _WITH_EOS},
)

seqio.TaskRegistry.add(
    "docstrings_prefix_lm",
    source=_TEXTS,
    preprocessors=[
        documents.tokenize,
        table.preprocessor("prefix_lm"),
        seqio.preprocessors.append_eos_after_trim,
    ],
    output_features={"inputs": _WITH_EOS, "targets": _WITH_EOS},
)

seqio.TaskRegistry.add(
    "docstrings_lm",
    source=_TEXTS,
    preprocessors=[
        documents.tokenize,
        table.preprocessor("full_lm"),
    ],
    output_features={"targets": _WITHOUT_EOS},
)

seqio.TaskRegistry.add(
    "docstrings_library",
    source=InMemorySource(_library_examples, SPLITS),
    preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
    output_features={"inputs": _WITH_EOS, "targets": _WITH_EOS},
    metric_fns=[accuracy],
)
