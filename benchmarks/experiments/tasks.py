"""What the experiments train on, as SeqIO tasks in T5's own formats.

| task | inputs | targets |
|---|---|---|
| experiments_wikitext | text with sentinels for spans of 3 | what they hide |
| experiments_wikitext_iid | the same, each token noise by itself | what they hide |
| experiments_ende, experiments_ende_2000 | `translate English to German: ...` | German |
| experiments_sst2, experiments_sst2_2000 | `sst2 sentence: ...` | positive, negative |
| experiments_mixture | the first of each row, in proportion to examples | |
"""

import functools

import seqio

from benchmarks.experiments import corpora
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.bleu import bleu
from t5x_lite.objectives import table
from t5x_lite.tasks import rates, translation
from t5x_lite.tasks.classification import keyed_text
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.registration import Example, add_task, each
from t5x_lite.tasks.splits import SPLITS
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

# A limit keeps the 66,000 sentences from crowding out the rest.
MIXTURE_LIMIT = 2**14

_FEATURE = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)

for _name, _objective in (
    ("experiments_wikitext", "span_corruption"),
    ("experiments_wikitext_iid", "iid_denoising"),
):
    seqio.TaskRegistry.add(
        _name,
        source=InMemorySource(corpora.wikitext, SPLITS),
        preprocessors=[
            functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
            table.preprocessor(_objective),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": _FEATURE, "targets": _FEATURE},
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

seqio.MixtureRegistry.add(
    "experiments_mixture",
    ["experiments_ende", "experiments_sst2", "experiments_wikitext"],
    default_rate=rates.examples_proportional(limit=MIXTURE_LIMIT),
)
