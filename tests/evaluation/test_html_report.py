"""The page: one file, whole, harmless, and true to what the runs wrote."""

import html.parser
import json
import re

import pytest

from t5x_lite.evaluation.html_report import html_report
from t5x_lite.evaluation.runs import read_run

VOID = {"meta", "br"}


class Tree(html.parser.HTMLParser):
    """Checks that what opens closes; keeps texts by their innermost element, and all links."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.addresses, self.count = [], [], [], {}
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.addresses += [v for name, v in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def write(path, values):
    """JSON lines, as jobs write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


@pytest.fixture
def runs(tmp_path):
    """A run that was fine-tuned from another one and evaluated at two steps."""
    parent, child = tmp_path / "pretrain", tmp_path / "finetune"
    for directory in (parent, child):
        lines = [
            {
                "step": step,
                "loss_per_token": 5 - step / 100,
                "accuracy": step / 300,
                "learning_rate": 0.01,
                "weight_gradient_norm": 1.5,
                "timing/steps_per_second": 3.0,
            }
            for step in range(1, 101)
        ]
        write(directory / "train" / "metrics.jsonl", lines)
        write(directory / "training_eval" / "toy" / "metrics.jsonl", lines[49::50])
    config = "import tasks\n\nTRAIN_STEPS = {}\nLENGTHS = {{\n    'inputs': {},\n}}\n"
    (parent / "config.gin").write_text(config.format(500, 64))
    (parent / "checkpoint_100").mkdir()
    text = config.format(700, 128) + f"INITIAL_CHECKPOINT_PATH = '{parent}/checkpoint_100'\n"
    (child / "config.gin").write_text(text)
    (child / "model-info.txt").write_text("token_embedder/embedding  [384, 16]\n")
    folder = child / "inference_eval"
    scores = [
        {"step": step, "split": "validation", "bleu": x} for step, x in ((50, 3), (100, 21.5))
    ]
    write(folder / "toy-metrics.jsonl", scores)
    write(
        folder / "toy-baselines.json",
        [{"copy_input": {"bleu": 0.25}, "most_frequent_target": {"bleu": 0.5}}],
    )
    interval = {"low": 19.25, "high": 23.75, "num_resamples": 1000}
    statistics = {
        "step": 100,
        "split": "validation",
        "num_examples": 50,
        "confidence": 0.95,
        "intervals": {"bleu": interval},
        "rates": {"sentinel_rate": 7.0, "empty_rate": 0.0, "truncated_rate": 1.0},
    }
    write(folder / "toy-statistics.jsonl", [statistics])
    for step in (50, 100):
        examples = [
            {
                "input": {"inputs_pretokenized": f"word {i}", "targets_pretokenized": f"Wort {i}"},
                "target": f"Wort {i}",
                "prediction": f"<script>alert({step})</script> {i}",
            }
            for i in range(50)
        ]
        write(folder / f"toy-{step:06}.jsonl", examples)
    (child / "checkpoint_100").mkdir()
    best = {"step": 100, "value": 21.5, "scores": {"bleu": 21.5}}
    write(child / "best_checkpoints.json", [{"toy": {"best": best, "best_kept": best}}])
    return [read_run(child), read_run(parent)]


@pytest.fixture
def page(runs):
    """The document and what stands in it."""
    document = html_report(runs)
    return document, Tree(document)


def test_it_is_one_file(page):
    """No network and no other file: every address is a place in the page itself."""
    document, tree = page
    assert tree.addresses
    assert all(address.startswith("#") for address in tree.addresses)
    assert "@import" not in document
    assert "url(" not in document


def test_what_models_wrote_is_shown_and_not_run(page):
    """A page has no script at all."""
    _, tree = page
    assert "script" not in tree.count
    assert ("td", "<script>alert(100)</script> 0") in tree.texts


def test_scores_stand_with_interval_baseline_and_rates(page):
    """The newest, not the first."""
    cells = [text for tag, text in page[1].texts if tag == "td"]
    assert "21.50 [19.25, 23.75]" in cells
    assert "0.50" in cells
    assert "7.0 %" in cells


def test_samples_are_the_same_examples_at_every_step(page):
    """First and last are among them; the columns are steps."""
    headers = [text for tag, text in page[1].texts if tag == "th"]
    assert headers[headers.index("input") :][:4] == ["input", "reference", "step 50", "step 100"]
    cells = [text for tag, text in page[1].texts if tag == "td"]
    start = cells.index("word 49")
    assert cells[start : start + 4] == [
        "word 49",
        "Wort 49",
        "<script>alert(50)</script> 49",
        "<script>alert(100)</script> 49",
    ]
    assert "word 0" in cells


def test_the_configuration_is_compared_with_the_parents(page):
    """Only what differs, values over several lines included."""
    document, _ = page
    (difference,) = re.findall(r'<table class="diff">.*?</table>', document, re.DOTALL)
    cells = [text for tag, text in Tree(difference).texts if tag == "td"]
    assert cells[cells.index("TRAIN_STEPS") :][:3] == ["TRAIN_STEPS", "500", "700"]
    assert cells[cells.index("LENGTHS") :][:3] == [
        "LENGTHS",
        "{ 'inputs': 64, }",
        "{ 'inputs': 128, }",
    ]
    assert len(cells) == 9  # and INITIAL_CHECKPOINT_PATH


def test_a_chart_for_each_quantity_that_was_recorded(page):
    """Losses of both runs share one; nothing is drawn for what is not there."""
    document, tree = page
    titles = [text for tag, text in tree.texts if tag == "figcaption"]
    assert titles == [
        "loss, nats per target token",
        "token accuracy",
        "toy: bleu",
        "learning rate",
        "gradient norm",
        "steps per second",
    ]
    assert tree.count["svg"] == len(titles)
    assert "token_embedder/embedding" in document
    assert "toy 21.5" in document, "the checkpoint that is best"


def test_a_run_that_was_only_trained_makes_a_page_too(runs):
    """Without sections that would be empty."""
    tree = Tree(html_report(runs[1:]))
    headings = [text for tag, text in tree.texts if tag == "h2"]
    assert headings == ["Curves", "Configuration", "Checkpoints"]
