"""The objectives of Raffel et al. (2020), table 3 and section 3.3, and of two later papers by name.

Thank you for inviting me to your party last week, with "for inviting" and "last" as noise:

| name            | inputs                                     | targets                         |
|-----------------|--------------------------------------------|---------------------------------|
| prefix_lm       | Thank you for inviting                     | me to your party last week      |
| bert_style      | Thank you M M me to your party apple week  | the text                        |
| deshuffling     | party me for your to . last you inviting   | the text                        |
| mass_style      | Thank you M M me to your party M week      | the text                        |
| iid_denoising   | Thank you <X> me to your party <Y> week    | <X> for inviting <Y> last <Z>   |
| iid_drop_tokens | Thank you me to your party week            | for inviting last               |
| span_corruption | Thank you <X> me to your party <Y>         | <X> for inviting <Y> last week  |
| full_lm         | -                                          | the text, one after another     |
| document_lm     | -                                          | the text, each by itself        |

    seqio.TaskRegistry.add("my_task", preprocessors=[tokenize, table.preprocessor("bert_style"),
                                                     seqio.preprocessors.append_eos_after_trim])
"""

import difflib
import functools
from collections.abc import Callable

import tensorflow as tf

from t5x_lite.errors import UserError
from t5x_lite.objectives import lengths, noise, rewrites
from t5x_lite.objectives.objective import Objective, Rewrite, apply

# The rates and mean lengths of spans of sections 3.3.3 and 3.3.4.
RATES = {"r10": 0.10, "r15": 0.15, "r25": 0.25, "r50": 0.50}
SPANS = {"s2": 2.0, "s3": 3.0, "s5": 5.0, "s10": 10.0}


def _spans(density: float, mean: float, mode: str = "") -> Objective:
    return Objective(
        noise=noise.random_spans(density=density, mean=mean),
        inputs=rewrites.noise_to_sentinels,
        targets=rewrites.kept_to_sentinels,
        window=lengths.spans(density=density, mean=mean),
        borrows_pieces=density == 0.5,  # 170 spans in a window of 512 at a mean of 2
        mode=mode,
    )


def _iid(density: float) -> Objective:
    return Objective(
        noise=noise.iid_tokens(density=density),
        inputs=rewrites.noise_to_sentinels,
        targets=rewrites.kept_to_sentinels,
        window=lengths.whole_inputs(
            targets=lambda tokens: tokens * density + lengths.iid_runs(tokens, density=1 - density),
            sentinels=functools.partial(lengths.iid_runs, density=density),
        ),
        borrows_pieces=density == 0.5,  # 128 runs of noise in a window of 512
    )


def _masked(noise_mask: noise.Mask, inputs: Rewrite, *, join: bool = True) -> Objective:
    """Targets are the whole text."""
    return Objective(
        noise=noise_mask,
        inputs=inputs,
        targets=rewrites.everything,
        window=lengths.whole_inputs(targets=lambda tokens: tokens),
        join=join,
    )


def _prefix(*, join: bool, mode: str = "") -> Objective:
    return Objective(
        noise=noise.random_prefix,
        inputs=rewrites.keep_noise,
        targets=rewrites.drop_noise,
        # Single tokens have no proper prefix.
        window=lengths.whole_inputs(targets=lambda tokens: tokens - 1, shortest_segment=2),
        join=join,
        mode=mode,
    )


# Seven denoisers, each equally often, as the authors' code mixes them (Tay et al. 2022, table 1 and
# appendix): regular ones, sequential ones, and extreme ones, of long spans or of half of the text.
UL2 = {
    "ul2_r_s3": _spans(0.15, 3.0, mode="[NLU]"),
    "ul2_r_s8": _spans(0.15, 8.0, mode="[NLU]"),
    "ul2_s": _prefix(join=True, mode="[S2S]"),
    "ul2_x_r50_s3": _spans(0.50, 3.0, mode="[NLG]"),
    "ul2_x_r50_s8": _spans(0.50, 8.0, mode="[NLG]"),
    "ul2_x_r15_s64": _spans(0.15, 64.0, mode="[NLG]"),
    "ul2_x_r50_s64": _spans(0.50, 64.0, mode="[NLG]"),
}

OBJECTIVES = {
    "prefix_lm": _prefix(join=False),
    "bert_style": _masked(noise.iid_tokens(density=0.15), rewrites.noise_to_mask_or_random),
    "deshuffling": _masked(noise.every_token, rewrites.shuffle_noise, join=False),
    "mass_style": _masked(noise.iid_tokens(density=0.15), rewrites.noise_to_mask),
    # Section 3.1.4: the baseline, at the rates of section 3.3.3.
    "iid_denoising": _iid(0.15),
    **{f"iid_denoising_{rate}": _iid(RATES[rate]) for rate in ("r10", "r25", "r50")},
    "iid_drop_tokens": Objective(
        noise=noise.iid_tokens(density=0.15),
        inputs=rewrites.drop_noise,
        targets=rewrites.keep_noise,
        window=lengths.whole_inputs(targets=lambda tokens: 0.15 * tokens),
    ),
    # What T5 settled on, the other mean lengths of section 3.3.4, and the grid of both.
    "span_corruption": _spans(0.15, 3.0),
    **{f"span_corruption_{mean}": _spans(0.15, SPANS[mean]) for mean in ("s2", "s5", "s10")},
    **{
        f"span_corruption_{rate}_{mean}": _spans(RATES[rate], SPANS[mean])
        for rate in ("r10", "r25", "r50")
        for mean in SPANS
    },
    # No inputs: a language model reads texts one after another.
    "full_lm": Objective(
        noise=noise.every_token,
        inputs=None,
        targets=rewrites.everything,
        window=lengths.whole_targets,
        document_ends=True,
    ),
    # Pieces of one text alone: of all that is long enough for a model that reads it in windows.
    "document_lm": Objective(
        noise=noise.every_token,
        inputs=None,
        targets=rewrites.everything,
        window=lengths.whole_targets,
        join=False,
        document_ends=True,
    ),
    # What made T5 1.1 fit for prompts (Lester et al. 2021, section 3.3): texts one after another,
    # cut anywhere, so that nothing but the end of a text ends with an end token.
    "lm_adaptation": Objective(
        noise=noise.random_prefix,
        inputs=rewrites.keep_noise,
        targets=rewrites.drop_noise,
        window=lengths.both_sides,
        document_ends=True,
    ),
    **UL2,
}


def find(name: str) -> Objective:
    """The objective of that name.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    if name == "ul2":
        raise UserError(
            f"ul2 is a mixture of the objectives {', '.join(UL2)}: name one of them, or mix tasks "
            "of all of them equally, as c4_v220_ul2 does."
        )
    if name not in OBJECTIVES:
        nearest = difflib.get_close_matches(name, OBJECTIVES, n=3) or list(OBJECTIVES)
        raise UserError(f"No objective is named {name!r}; did you mean {' or '.join(nearest)}?")
    return OBJECTIVES[name]


def preprocessor(name: str) -> Callable[..., tf.data.Dataset]:
    """What a SeqIO task applies behind its tokenizer: {"targets"} to {"inputs", "targets"}."""
    return functools.partial(apply, objective=find(name))


def has_inputs(name: str) -> bool:
    """Whether an encoder has anything to read."""
    return find(name).inputs is not None


def ends_with_end_token(name: str) -> bool:
    """Whether a task appends an end token; else the documents have theirs already."""
    return not find(name).document_ends
