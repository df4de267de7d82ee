"""Translation from English (WMT): `translate English to German: That is good.` -> `Das ist gut.`

| task              | to       | train                                     | validation, test      |
|-------------------|----------|-------------------------------------------|-----------------------|
| wmt_t2t_ende_v003 | German   | Europarl, Common Crawl, News Commentary   | newstest2013; 2014    |
| wmt15_enfr_v003   | French   | WMT 2015                                  | newstest2014; 2015    |
| wmt16_enro_v003   | Romanian | WMT 2016                                  | newsdev, newstest2016 |
"""

import functools

import tensorflow as tf

from t5x_lite.metrics.bleu import bleu
from t5x_lite.tasks.original_files.parallel_text import ParallelText
from t5x_lite.tasks.registration import Example, add_task, each
from t5x_lite.tasks.sources import DownstreamSource

LANGUAGES = {"de": "German", "fr": "French", "ro": "Romanian"}


def to_text(example: Example, *, language: str) -> Example:
    """From English to a language, by its code."""
    prompt = f"translate English to {LANGUAGES[language]}: "
    return {"inputs": tf.strings.join([prompt, example["en"]]), "targets": example[language]}


def _add_translation(name: str, tfds_name: str, files: ParallelText) -> None:
    add_task(
        name,
        source=DownstreamSource(tfds_name, ("train", "validation", "test"), files),
        preprocessors=[each(functools.partial(to_text, language=files.language))],
        metric_fns=[bleu],
    )


_add_translation(
    "wmt_t2t_ende_v003",
    "wmt_t2t_translate/de-en:1.0.0",
    ParallelText("de", validation="newstest2013", test="newstest2014"),
)
_add_translation(
    "wmt15_enfr_v003",
    "wmt15_translate/fr-en:1.0.0",
    ParallelText("fr", validation="newstest2014", test="newstest2015"),
)
_add_translation(
    "wmt16_enro_v003",
    "wmt16_translate/ro-en:1.0.0",
    ParallelText("ro", validation="newsdev2016", test="newstest2016"),
)
