"""What `make demo` fine-tunes on: two translations and a classification."""

import seqio

# Imported for what they register.
from t5x_lite.tasks import docstrings, emoji, rates  # noqa: F401

# The limit keeps the 16,000 docstrings from crowding out the 3,400 emoji names of each language.
seqio.MixtureRegistry.add(
    "demo_finetune",
    ["emoji_en_de", "emoji_en_fr", "docstrings_library"],
    default_rate=rates.examples_proportional(limit=2**12),
)
