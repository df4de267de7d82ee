"""What `make demo` reads: much text without labels, few labelled examples.

| mixture       | of                                                                            |
|---------------|-------------------------------------------------------------------------------|
| demo_pretrain | docstrings and German and French names of emoji with spans hidden; emoji names |
|               | translated to Spanish, Italian and Portuguese (multi-task pre-training)       |
| demo_finetune | 400 examples each of translation to German and to French, and of telling in   |
|               | which of six languages a name is                                              |

What is tested, base emoji and modules, is in no training example of either, in any language.
"""

import seqio

from t5x_lite.tasks import docstrings, emoji  # noqa: F401, docstrings for what it registers

NUM_LABELLED = 400

PRETRAINING = {
    "docstrings_span_corruption": 2.0,
    "emoji_names_de": 1.0,
    "emoji_names_fr": 1.0,
    # Three or four of them make a row.
    **{f"emoji_en_{language}": 8.0 for language in ("es", "it", "pt")},
}
seqio.MixtureRegistry.add("demo_pretrain", list(PRETRAINING.items()))

for _language in ("de", "fr"):
    emoji.add_translation(f"emoji_en_{_language}_{NUM_LABELLED}", _language, NUM_LABELLED)
emoji.add_language(f"emoji_language_{NUM_LABELLED}", NUM_LABELLED)

seqio.MixtureRegistry.add(
    "demo_finetune",
    [f"{name}_{NUM_LABELLED}" for name in ("emoji_en_de", "emoji_en_fr", "emoji_language")],
    default_rate=1.0,
)
