"""What the soak trains on: real text, a random objective, several sources of different length."""

import seqio

import t5x_lite.tasks.demo  # noqa: F401, registers what is mixed here

seqio.MixtureRegistry.add(
    "soak",
    ["docstrings_span_corruption", "emoji_en_de", "emoji_en_fr", "docstrings_library"],
    default_rate=1.0,
)
