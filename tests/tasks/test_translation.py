"""Translation and summarization: the prompts of the released tasks."""

import pytest

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, translation  # noqa: F401


@pytest.mark.parametrize(
    ("name", "code", "language"),
    [
        ("wmt_t2t_ende_v003", "de", "German"),
        ("wmt15_enfr_v003", "fr", "French"),
        ("wmt16_enro_v003", "ro", "Romanian"),
    ],
)
def test_a_translation_names_both_languages(formatted, name, code, language):
    (found,) = formatted(name, {"en": "That is good.", code: "\u0102sta e bun."})
    assert found == {
        "inputs": f"translate English to {language}: That is good.",
        "targets": "\u0102sta e bun.",
    }


def test_a_summary_keeps_its_lines(formatted):
    example = {"article": "It rained. A lot.", "highlights": "It rained .\nA lot .", "id": "a1"}
    (found,) = formatted("cnn_dailymail_v002", example)
    assert found == {"inputs": "summarize: It rained. A lot.", "targets": "It rained .\nA lot ."}
