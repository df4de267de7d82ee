"""What the experiments train on, as SeqIO tasks in T5's own formats.

| task | inputs | targets |
|---|---|---|
| experiments_wikitext | text with sentinels for spans of 3 | what they hide |
| experiments_wikitext_iid | the same, each token noise by itself | what they hide |
| experiments_wikitext_first_N | the same of the first N tokens | what they hide |
| experiments_wikitext_lm | - | articles, one after another |
| experiments_wikitext_documents | - | pieces of one article each |
| experiments_masked_..., _permuted | articles, by the objective of an encoder that is named so | |
| experiments_captions_masked_for_detection, _masked_ngrams | captions, the same | |
| experiments_names | - | a letter, and in the next window a question for it |
| experiments_maps | - | symbols and labels, each sequence by a map of its own |
| experiments_bilingual_masked_full_sentences | captions in English and German, the same | |
| experiments_bilingual | an English caption | the German one |
| experiments_unlabelled_sst2, _en, _de | sentences with sentinels, several a row | what they hide |
| experiments_unlabelled | these three and the first row, equally often | |
| experiments_ende, experiments_ende_2000 | `translate English to German: ...` | German |
| experiments_ende_empty_S | the same | German, or nothing in a share S of the pairs |
| experiments_sst2, experiments_sst2_2000 | `sst2 sentence: ...` | positive, negative |
| experiments_sst2_encoder | the sentence, for an encoder by itself | its class |
| experiments_mixture | the first of each row, in proportion to examples | |
"""

import functools
from collections.abc import Callable

import seqio
import tensorflow as tf

from benchmarks.experiments import corpora, maps, names
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.bleu import bleu
from t5x_lite.objectives import documents, masked_table, table
from t5x_lite.objectives.texts import FIRST
from t5x_lite.tasks import disaster_tweets as _disaster_tweets  # noqa: F401  registered
from t5x_lite.tasks import rates, translation
from t5x_lite.tasks.classification import keyed_text
from t5x_lite.tasks.corpora import FirstTokens
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.registration import Example, add_classes_task, add_task, each
from t5x_lite.tasks.splits import SPLITS
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

# A limit keeps the 66,000 sentences from crowding out the rest.
MIXTURE_LIMIT = 2**14

_FEATURE = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)


_WIKITEXT = InMemorySource(corpora.wikitext, SPLITS)


def _add_denoising(
    name: str,
    source: seqio.DataSource,
    objective: str = "span_corruption",
    *,
    tokenized: bool = False,
) -> None:
    tokenize = functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False)
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[
            *([] if tokenized else [tokenize]),
            table.preprocessor(objective),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": _FEATURE, "targets": _FEATURE},
    )


_add_denoising("experiments_wikitext", _WIKITEXT)
_add_denoising("experiments_wikitext_iid", _WIKITEXT, "iid_denoising")
for _num_tokens in corpora.FIRST_TOKENS:
    _add_denoising(
        corpora.first_tokens(_num_tokens),
        FirstTokens(_WIKITEXT, DefaultVocabulary(), _num_tokens),
        tokenized=True,
    )

for _name, _objective in (
    ("experiments_wikitext_lm", "full_lm"),
    ("experiments_wikitext_documents", "document_lm"),
):
    seqio.TaskRegistry.add(
        _name,
        source=InMemorySource(corpora.articles, SPLITS),
        preprocessors=[documents.tokenize, table.preprocessor(_objective)],
        output_features={"targets": seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=False)},
    )


def _add_masked(prefix: str, source: seqio.DataSource, objective: str) -> None:
    seqio.TaskRegistry.add(
        f"{prefix}_{objective}",
        source=source,
        preprocessors=masked_table.preprocessors(objective),
        output_features=masked_table.output_features(objective),
    )


_ARTICLES = InMemorySource(corpora.whole_articles, SPLITS)
for _objective in (
    "masked_for_detection",
    "masked_full_sentences",
    "masked_next_sentence",
    "masked_ngrams",
    "masked_ngrams_next_sentence",
    "masked_sentence_order",
    "permuted",
):
    _add_masked("experiments", _ARTICLES, _objective)
_CAPTIONS = InMemorySource(corpora.captions, SPLITS)
for _objective in ("masked_for_detection", "masked_ngrams"):
    _add_masked("experiments_captions", _CAPTIONS, _objective)

_add_masked(
    "experiments_bilingual", InMemorySource(corpora.bilingual, SPLITS), "masked_full_sentences"
)

for _name, _texts in (
    ("experiments_maps", maps.sequences),
    ("experiments_names", names.texts),
):
    seqio.TaskRegistry.add(
        _name,
        source=InMemorySource(_texts, SPLITS),
        preprocessors=[
            functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"targets": seqio.Feature(seqio.ByteVocabulary(extra_ids=0))},
    )

_UNLABELLED: dict[str, Callable[[str], corpora.Examples]] = {
    "experiments_unlabelled_sst2": corpora.unlabelled_sentiments,
    "experiments_unlabelled_en": functools.partial(corpora.unpaired, language="en"),
    "experiments_unlabelled_de": functools.partial(corpora.unpaired, language="de"),
}
for _name, _load in _UNLABELLED.items():
    _add_denoising(_name, InMemorySource(_load, SPLITS))

seqio.MixtureRegistry.add(
    "experiments_unlabelled", ["experiments_wikitext", *_UNLABELLED], default_rate=1.0
)


def sentiment_to_text(example: Example) -> Example:
    """As glue_sst2_v002 writes it, from a label that is a name already."""
    inputs = keyed_text("sst2", {"sentence": example["sentence"]})
    return {"inputs": inputs, "targets": example["label"]}


for _num_train in (None, 2_000):
    _suffix = f"_{_num_train}" if _num_train else ""
    add_task(
        f"experiments_ende{_suffix}",
        source=InMemorySource(
            functools.partial(corpora.translations, num_train=_num_train), SPLITS
        ),
        preprocessors=[each(functools.partial(translation.to_text, language="de"))],
        metric_fns=[bleu],
    )
    add_task(
        f"experiments_sst2{_suffix}",
        source=InMemorySource(functools.partial(corpora.sentiments, num_train=_num_train), SPLITS),
        preprocessors=[each(sentiment_to_text)],
        metric_fns=[accuracy],
    )

SENTIMENTS = ("negative", "positive")


def sentiment_to_class(example: Example) -> Example:
    """What an encoder by itself reads, and the place of the label."""
    is_positive = tf.equal(example["label"], SENTIMENTS[1])
    return {FIRST: example["sentence"], "classes": tf.cast(is_positive, tf.int32)}


add_classes_task(
    "experiments_sst2",
    labels=SENTIMENTS,
    source=InMemorySource(corpora.sentiments, SPLITS),
    preprocessors=[each(sentiment_to_class)],
    metric_fns=[accuracy],
)


def caption_to_text(example: Example) -> Example:
    """Without words for the task."""
    return {"inputs": example["en"], "targets": example["de"]}


add_task(
    "experiments_bilingual",
    source=InMemorySource(corpora.translations, SPLITS),
    preprocessors=[each(caption_to_text)],
    metric_fns=[bleu],
)

for _share in corpora.EMPTY_SHARES:
    add_task(
        corpora.with_empty(_share),
        source=InMemorySource(
            functools.partial(corpora.translations_with_empty, share=_share), SPLITS
        ),
        preprocessors=[each(functools.partial(translation.to_text, language="de"))],
        metric_fns=[bleu],
    )

seqio.MixtureRegistry.add(
    "experiments_mixture",
    ["experiments_ende", "experiments_sst2", "experiments_wikitext"],
    default_rate=rates.examples_proportional(limit=MIXTURE_LIMIT),
)
