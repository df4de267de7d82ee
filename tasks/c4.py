"""C4 and other running text under the names that T5's users know: `c4_v220_span_corruption`.

| task                                             | text                                      |
|--------------------------------------------------|-------------------------------------------|
| c4_v220_<objective>                              | c4/en:2.2.0, what T5 was pre-trained on   |
| c4_v310_<objective>                              | c4/en:3.1.0, what today's TFDS builds     |
| c4_{noclean,realnewslike,webtextlike}_v220_*     | its variants (paper, section 3.4.1)       |
| wikipedia_20190301_en_v003_*                     | English Wikipedia of March 2019           |
| c4_v220_iid_denoising_tokens_2_29, _27, _25, _23 | the first 2^29, ... tokens (section 3.4.2) |

Objectives are the rows of `objectives.table`; `c4_v220_ul2` is the mixture of seven of them. The
files are found by TFDS: --tfds_data_dir=DIR.
"""

import seqio

from t5x_lite.objectives import documents, table
from t5x_lite.tasks.corpora import FirstTokens, TfdsTexts
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

_VOCABULARY = DefaultVocabulary()
_C4_SPLITS = ("train", "validation")
_C4 = TfdsTexts("c4/en:2.2.0", _C4_SPLITS)
CORPORA = {
    "c4_v220": _C4,
    "c4_v310": TfdsTexts("c4/en:3.1.0", _C4_SPLITS),
    "c4_noclean_v220": TfdsTexts("c4/en.noclean:2.2.0", _C4_SPLITS),
    "c4_realnewslike_v220": TfdsTexts("c4/realnewslike:2.2.0", _C4_SPLITS),
    "c4_webtextlike_v220": TfdsTexts("c4/webtextlike:2.2.0", _C4_SPLITS),
    "wikipedia_20190301_en_v003": TfdsTexts("wikipedia/20190301.en:1.0.0", ("train",)),
}
# Exponents of 2; passed over 64, 256, 1,024 and 4,096 times, each time with other noise.
TRUNCATED = (29, 27, 25, 23)


def _add(name: str, source: seqio.DataSource, objective: str, *, tokenized: bool = False) -> None:
    has_end = table.ends_with_end_token(objective)
    feature = seqio.Feature(vocabulary=_VOCABULARY, add_eos=has_end)
    sides = ("inputs", "targets") if table.has_inputs(objective) else ("targets",)
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[
            *([] if tokenized else [documents.tokenize]),
            seqio.CacheDatasetPlaceholder(),
            table.preprocessor(objective),
            *([seqio.preprocessors.append_eos_after_trim] if has_end else []),
        ],
        output_features=dict.fromkeys(sides, feature),
    )


for _corpus, _source in CORPORA.items():
    for _objective in table.OBJECTIVES:
        _add(f"{_corpus}_{_objective}", _source, _objective)
    seqio.MixtureRegistry.add(
        f"{_corpus}_ul2", [f"{_corpus}_{denoiser}" for denoiser in table.UL2], default_rate=1.0
    )

for _exponent in TRUNCATED:
    _add(
        f"c4_v220_iid_denoising_tokens_2_{_exponent}",
        FirstTokens(_C4, _VOCABULARY, 2**_exponent),
        "iid_denoising",
        tokenized=True,
    )
