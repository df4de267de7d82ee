"""D-3: is a text likelier to a frozen model whose states take steps on what it has read of it?

Every number is a line of OUTPUT/hidden_states.jsonl, so what was killed goes on there.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.experiments import corpora, few_shot, language_model, statistics
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab

if TYPE_CHECKING:
    from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
    from t5x_lite.inference.text_model import TextModel

CHUNK, WINDOW = 16, language_model.LENGTHS["targets"]
STREAM = 1_024  # tokens that are read one after the other
STREAMS = {"dev": 32, "test": 64}
STEP_SIZES = (0.003, 0.01, 0.03, 0.1, 0.3)
SHOTS, DRAWS, SENTENCES = 8, few_shot.DRAWS, few_shot.SENTENCES
DEV_DRAWS, DEV_SENTENCES = 3, 100
IN_DOMAIN, OTHER = "WikiText-2", "Grimm"
PLAIN, OPTIMISED, ROWS = "plain", "optimised", f"rows of {WINDOW}"
SST2 = "SST-2"

Scores = dict[str, float]


def arm(text: str, how: str) -> str:
    """By its name."""
    return f"{text}, {how}"


def step_sizes(lab: Lab) -> Sequence[float]:
    """Those that are tried; each is a program of its own."""
    return STEP_SIZES if lab.scale.num_examples is None else STEP_SIZES[2:4]


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Each text with each seed, then prompts with each draw."""
    import t5x_lite

    for seed in seeds:
        model = t5x_lite.load(lab.train(language_model.training(lab, seed)), batch_size=64)
        for text in (IN_DOMAIN, OTHER):
            for how, scores in _of_text(lab, model, seed, text):
                yield Record(arm(text, how), seed, scores)
    yield from _of_prompts(lab)


def _of_text(lab: Lab, model: "TextModel", seed: int, text: str) -> Iterator[tuple[str, Scores]]:
    """Of rows by themselves, of a window that moves, and of one whose states take steps, as large
    as suits the development part.
    """

    def scored(part: str, size: float | None) -> Scores:
        key = {"seed": seed, "text": text, "part": part, "step_size": size}
        return _once(lab, key, lambda: _perplexity(lab, model, text, part, size))

    best = min(step_sizes(lab), key=lambda size: scored("dev", size)["perplexity"])
    yield ROWS, scored("test", None)
    yield PLAIN, scored("test", 0.0)
    yield OPTIMISED, scored("test", best) | {"step_size": best}


def _perplexity(
    lab: Lab, model: "TextModel", text: str, part: str, step_size: float | None
) -> Scores:
    """Per token, and of what is tested the milliseconds that one took once all was compiled."""
    read = streams(lab, model, text, part)
    if step_size is None:
        read = [each[at : at + WINDOW - 1] for each in read for at in range(0, STREAM, WINDOW - 1)]

    def scored() -> np.ndarray:
        found = model.engine.score(
            [[] for _ in read],
            read,
            batch_size=64,
            hidden_states=None if step_size is None else states(step_size),
        )
        return np.concatenate(found).astype(np.float64)

    found = scored()
    scores = {"perplexity": float(np.exp(-found.mean()))}
    if part == "test":
        began = time.process_time()
        scored()
        scores["time"] = 1000 * (time.process_time() - began) / len(found)
    return scores


def states(step_size: float) -> "HiddenStatesConfig":
    """As all of this reads."""
    from t5x_lite.inference.hidden_states_config import HiddenStatesConfig

    return HiddenStatesConfig(step_size=step_size, chunk=CHUNK, window=WINDOW)


def streams(lab: Lab, model: "TextModel", text: str, part: str) -> list[list[int]]:
    """Pieces of a text: of WikiText-2 from articles that nothing was trained on, those that are
    tested of another file than the others; of the tales the first are the development part.
    """
    count = STREAMS[part]
    if text == IN_DOMAIN:
        articles = corpora.articles("test" if part == "test" else "validation")
        whole = "\n".join(each["targets"] for each in articles)
    else:
        whole = corpora.tales()
    ids = model.tokenizer.encode(whole)
    first = STREAMS["dev"] if (text, part) == (OTHER, "test") else 0
    found = [ids[at * STREAM : (at + 1) * STREAM] for at in range(first, first + count)]
    return [each for each in found if len(each) == STREAM][: lab.scale.num_examples]


def _of_prompts(lab: Lab) -> Iterator[Record]:
    """SST-2 behind demonstrations, whose states take steps on the prompt's own loss."""
    model = few_shot.models(lab)[few_shot.GPT2]

    def scored(split: str, draw: int, size: float, most: int) -> Scores:
        key = {"draw": draw, "split": split, "step_size": size}
        return _once(lab, key, lambda: _answered(lab, model, split, draw, size, most))

    is_whole = lab.scale.num_examples is None
    others = [DRAWS + n for n in range(DEV_DRAWS if is_whole else 1)]

    def on_dev(size: float) -> float:
        every = [scored("validation", draw, size, DEV_SENTENCES) for draw in others]
        return float(np.mean([scores["log_loss"] for scores in every]))

    best = min(step_sizes(lab), key=on_dev)
    for draw in range(DRAWS if is_whole else 2):
        yield Record(arm(SST2, PLAIN), draw, scored("test", draw, 0.0, SENTENCES))
        found = scored("test", draw, best, SENTENCES)
        yield Record(arm(SST2, OPTIMISED), draw, found | {"step_size": best})


def _answered(
    lab: Lab, model: few_shot.Model, split: str, draw: int, step_size: float, most: int
) -> Scores:
    predictor = few_shot.predictor_of(lab, model)
    predictor = dataclasses.replace(predictor, hidden_states=states(step_size))
    examples = few_shot.items(lab, model, SHOTS, draw, split=split, most=most)
    found = few_shot.scores_of(predictor, model, examples, f"draw {draw}, step {step_size:g}")
    return {name: found[name] for name in ("accuracy", "ratio", "log_loss")}


def _once(lab: Lab, key: dict[str, Any], measured: Callable[[], Scores]) -> Scores:
    """What is known of a key, else measured and noted."""
    from t5x_lite import json_lines

    file = lab.output / "hidden_states.jsonl"
    for line in json_lines.read_lines(file) if file.exists() else []:
        if line["key"] == key:
            return dict(line["scores"])
    scores = measured()
    json_lines.append_line(file, {"key": key, "scores": scores})
    return scores


def _notes(records: Sequence[Record]) -> list[str]:
    gains = []
    for text in (IN_DOMAIN, OTHER):
        plain, found = (
            by_seed(records, arm(text, how), "perplexity") for how in (PLAIN, OPTIMISED)
        )
        shares = [100 * (1 - found[seed] / plain[seed]) for seed in plain]
        gains.append(f"{text} {min(shares):.2f} to {max(shares):.2f} %")
    answered = []
    for metric, unit in (("accuracy", "points"), ("ratio", "points by the ratio")):
        plain, found = (by_seed(records, arm(SST2, how), metric) for how in (PLAIN, OPTIMISED))
        each = statistics.spread([found[draw] - plain[draw] for draw in plain])
        error = each.deviation / each.count**0.5
        answered.append(f"{each.mean:+.2f} {unit} (standard error {error:.2f})")
    times = [
        np.mean([*by_seed(records, arm(IN_DOMAIN, how), "time").values()])
        for how in (ROWS, OPTIMISED)
    ]
    return [
        f"Perplexity falls by these shares, the least and the most of the seeds: "
        f"{'; '.join(gains)}. Accuracy on SST-2, optimised less plain, over the draws: "
        f"{', '.join(answered)}. A token takes {times[1] / times[0]:.1f} times as long as in one "
        "pass over rows, of CPU time."
    ]


EXPERIMENT = Experiment(
    key="D-3",
    title="Hidden-state optimisation",
    claim=(
        "perplexity falls on text of the kind that was trained on, and more on other text; answers "
        "behind demonstrations are right more often"
    ),
    setup=(
        f"The GPT-2s of G-1, frozen, read streams of {STREAM:,} tokens in chunks of {CHUNK} behind "
        f"a window of {WINDOW} positions, of which the older half leaves when it is full: with "
        "states as they are, or with states that take a step of Adam on the loss of each chunk "
        f"once it is counted. {STREAMS['test']} streams of WikiText-2's held-out articles, and of "
        f"Grimm's tales; of step sizes from {STEP_SIZES[0]:g} to {STEP_SIZES[-1]:g} the one that "
        f"is best on {STREAMS['dev']} other streams of the same text. Beside it the same tokens "
        "in rows of their own, each in one pass. "
        f"SST-2 as in G-3, seed 0: {SENTENCES} dev sentences behind the demonstrations of {DRAWS} "
        f"draws, up to {SHOTS} of them; the states of the prompt take steps on its own loss. The "
        f"step size is the one of least loss among the two answers, for {DEV_SENTENCES} training "
        f"sentences behind {DEV_DRAWS} other draws. The spread of perplexities is that of seeds, "
        "that of answers is that of draws."
    ),
    measure=measure,
    chart=Chart("perplexity", "perplexity a token"),
    metrics={
        "perplexity": "perplexity",
        "time": "CPU ms a token",
        "accuracy": "accuracy, %",
        "ratio": "by the ratio, %",
        "log_loss": "loss of the answer",
        "step_size": "step size",
    },
    comparisons=(
        *(
            Comparison(arm(text, PLAIN), arm(text, OPTIMISED), "perplexity")
            for text in (IN_DOMAIN, OTHER)
        ),
        *(
            Comparison(arm(SST2, PLAIN), arm(SST2, OPTIMISED), metric)
            for metric in ("accuracy", "ratio", "log_loss")
        ),
    ),
    notes=_notes,
)
