"""What `make demo` reads: much text without labels, few labelled examples.

| mixture       | of                                                                            |
|---------------|-------------------------------------------------------------------------------|
| demo_pretrain | docstrings and German and French names of emoji with spans hidden; emoji names |
|               | translated to Spanish, Italian and Portuguese (multi-task pre-training)       |
| demo_finetune | 400 examples each of translation to German and to French, and of telling which |
|               | library a docstring is from                                                   |

What is tested, base emoji and modules, is in no training example of either, in any language.
"""

import seqio

from t5x_lite.tasks import docstrings, emoji

NUM_LABELLED = 400

PRETRAINING = {
    "docstrings_span_corruption": 3.0,
    "emoji_names_de": 1.0,
    "emoji_names_fr": 1.0,
    # Three or four of them make a row.
    **{f"emoji_en_{language}": 8.0 for language in ("es", "it", "pt")},
}
seqio.MixtureRegistry.add("demo_pretrain", list(PRETRAINING.items()))

for _language in ("de", "fr"):
    emoji.add_translation(f"emoji_en_{_language}_{NUM_LABELLED}", _language, NUM_LABELLED)
docstrings.add_library(f"docstrings_library_{NUM_LABELLED}", NUM_LABELLED)

seqio.MixtureRegistry.add(
    "demo_finetune",
    [f"{name}_{NUM_LABELLED}" for name in ("emoji_en_de", "emoji_en_fr", "docstrings_library")],
    default_rate=1.0,
)
