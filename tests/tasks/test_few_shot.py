"""Prompts: demonstrations that are never the item, as many as fit, and the way back from a text."""

import dataclasses
import json

import pytest
import seqio

from t5x_lite.data.config import FewShotConfig
from t5x_lite.data.examples import EvaluationTask
from t5x_lite.data.few_shot import few_shot, set_few_shot
from t5x_lite.data.prompts import prompt_of
from t5x_lite.errors import UserError
from t5x_lite.tasks import few_shot as few_shot_tasks
from t5x_lite.tasks.demonstrations import Pool
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.prompt_templates import Template

WORDS = "red blue green black white small large old new long".split()
# Each sentence twice in the training split: what is drawn must not be the item's double either.
SENTENCES = [f"{a} {b}" for a in WORDS[:4] for b in WORDS[4:7]] * 2
POOL = Pool("toy", [f"item {i % 9}" for i in range(18)], [f"text {i}" for i in range(18)])
TOY = Template(
    "toy",
    "toy_base",
    "Text: {sentence}\nIs:",
    ("bad", "good"),
    prepare=lambda fields: fields | {"label": int(fields["label"])},
    neutral="Is:",
)
ITEMS = len(SENTENCES)


def _load(split):
    return [{"sentence": each, "label": str(i % 2)} for i, each in enumerate(SENTENCES)]


@pytest.fixture(scope="module", autouse=True)
def toy():
    """A task of 24 labelled sentences in both splits, and its prompts."""
    seqio.TaskRegistry.add(
        "toy_base", source=InMemorySource(_load, ("train", "test")), output_features={}
    )
    few_shot_tasks.add(TOY)
    yield
    for name in ("toy_base", *(f"few_shot_toy{form.suffix}" for form in few_shot_tasks.FORMS)):
        seqio.TaskRegistry.remove(name)


@pytest.fixture
def ask(vocabulary):
    """(K, ...) -> the examples of the toy's prompts."""

    def examples(k=0, *, form="", length=None, split="test", num_examples=None, **settings):
        set_few_shot(FewShotConfig(k=k, **settings))
        lengths = None if length is None else {"inputs": length, "targets": 8}
        return task(form).examples(
            split=split, task_feature_lengths=lengths, num_examples=num_examples
        )

    before = few_shot()
    yield examples
    set_few_shot(before)


def task(form=""):
    return EvaluationTask(seqio.TaskRegistry.get(f"few_shot_toy{form}"))


def test_demonstrations_are_never_the_item_though_it_is_there_twice():
    """By its text, for every item and many seeds; and they are as many as asked, all different."""
    for seed in range(50):
        for item in POOL.items[:9]:
            drawn = POOL.draw(item, FewShotConfig(k=16, seed=seed))
            assert len(set(drawn)) == 16
            assert item not in {POOL.items[place] for place in drawn}


@pytest.mark.parametrize("shared", [False, True])
def test_a_smaller_draw_begins_a_larger_one(shared):
    """So K = 1 and K = 8 differ by what is added only."""
    longest = POOL.draw("item 3", FewShotConfig(k=12, seed=5, shared=shared))
    for k in range(12):
        assert POOL.draw("item 3", FewShotConfig(k=k, seed=5, shared=shared)) == longest[:k]


def test_each_item_has_its_own_draw_unless_it_is_shared():
    """A shared one leaves out the item and is the same otherwise; a seed draws another."""

    def draws(**settings):
        return [tuple(POOL.draw(f"item {i}", FewShotConfig(k=4, **settings))) for i in range(9)]

    assert len(set(draws())) > 5 and draws() != draws(seed=1)
    common = [place for place in POOL.draw("no item", FewShotConfig(k=16, shared=True))]
    for item, found in enumerate(draws(shared=True)):
        kept = [place for place in common if POOL.items[place] != f"item {item}"]
        assert list(found) == kept[:4]


def test_a_prompt_is_its_demonstrations_and_the_item(ask):
    """In words; the answer of the item is nowhere, those of the demonstrations are right."""
    labels = {sentence: ("bad", "good")[i % 2] for i, sentence in enumerate(SENTENCES)}
    for index, example in enumerate(ask(3, split="train")):
        prompt = prompt_of(example)
        assert prompt.item == f"Text: {SENTENCES[index]}\nIs:"
        text = "".join(f"{each}\n\n" for each in prompt.shown) + prompt.item
        assert example["inputs_pretokenized"] == text
        assert text.count(SENTENCES[index]) == 1 and len(prompt.shown) == 3
        for each in prompt.shown:
            sentence = each.removeprefix("Text: ").partition("\n")[0]
            assert each == f"Text: {sentence}\nIs: {labels[sentence]}"


def test_a_prompt_is_the_same_whoever_reads_it(ask):
    """Fewer examples, or one shard of the source."""
    every = [example["inputs_pretokenized"] for example in ask(3)]
    assert [example["inputs_pretokenized"] for example in ask(3, num_examples=5)] == every[:5]
    set_few_shot(FewShotConfig(k=3))
    shard = seqio.ShardInfo(1, 3)
    read = task().task.get_dataset(None, "test", shuffle=False, shard_info=shard)
    texts = [each["inputs_pretokenized"].decode() for each in read.as_numpy_iterator()]
    assert texts == every[1::3]


@pytest.mark.parametrize("form", ["", "_answer", "_fill"])
def test_as_many_demonstrations_stand_there_as_fit(form, ask):
    """One more would be too long; the item is whole, whatever the length."""
    whole = ask(8, form=form)
    bare = max(int(example["prompt/tokens"]) for example in ask(0, form=form))
    longest = max(len(example["inputs"]) for example in whole)
    kept = set()
    for length in range(bare, longest + 1, 20):
        for example, full in zip(ask(8, form=form, length=length), whole, strict=True):
            prompt, count = prompt_of(example), len(prompt_of(example).shown)
            kept.add(count)
            assert len(example["inputs"]) <= length and prompt.drawn == 8
            assert prompt.item in example["inputs_pretokenized"]
            assert list(prompt.shown) == list(prompt_of(full).shown)[:count]
            if count < 8:
                more = "\n\n".join([*prompt_of(full).shown[: count + 1], prompt.item])
                more += " <extra_id_0>" * (form == "_fill")
                assert len(task(form).encode("inputs", [more])[0]) > length
    assert {0, 1, 8} <= kept


def test_the_forms_end_and_answer_as_their_models_do(ask, vocabulary):
    """A text that goes on; one that is ended; a blank that is filled."""
    goes_on, ended, filled = (
        ask(0, form=form, num_examples=1)[0] for form in ("", "_answer", "_fill")
    )
    end, sentinel = 1, task().task.output_features["targets"].vocabulary.vocab_size - 1
    assert list(ended["inputs"]) == [*goes_on["inputs"], end]
    assert list(filled["inputs"]) == [*goes_on["inputs"], sentinel, end]
    texts = [each["targets_pretokenized"] for each in (goes_on, ended, filled)]
    assert texts == [" bad", "bad", "<extra_id_0> bad"]
    assert filled["targets"][0] == sentinel and end not in filled["targets"]
    assert prompt_of(filled).neutral == "Is: <extra_id_0>"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", " good\n\nText: red white\nIs: bad"),
        ("", "\n good"),
        ("_answer", "good"),
        ("_fill", "<extra_id_0> good <extra_id_1> and"),
        ("_fill", "good"),
    ],
)
def test_a_text_is_the_option_that_it_says(form, text, ask):
    """What a model writes behind it does not count; what is no option is none."""
    (example,) = ask(0, form=form, num_examples=1)
    assert task(form).prediction(text, example) == 1
    assert task(form).prediction(text.replace("good", "goods"), example) == -1
    assert task(form).target(example) == 0


def test_a_template_that_names_a_missing_field_is_refused(ask):
    """In one line that says which there are."""
    broken = dataclasses.replace(TOY, name="broken", item="Text: {sentense}")
    few_shot_tasks.add(broken)
    try:
        with pytest.raises(
            UserError, match=r"'broken' names the field 'sentense'.*label, sentence"
        ):
            EvaluationTask(seqio.TaskRegistry.get("few_shot_broken")).examples(
                split="test", task_feature_lengths=None
            )
    finally:
        for form in few_shot_tasks.FORMS:
            seqio.TaskRegistry.remove(f"few_shot_broken{form.suffix}")


def test_more_demonstrations_than_training_examples_are_refused(ask):
    """The item and its double are none."""
    assert len(prompt_of(ask(ITEMS - 2, num_examples=1)[0]).shown) == ITEMS - 2
    with pytest.raises(UserError, match=r"FEW_SHOT_K=23.*only 22 training examples"):
        ask(ITEMS - 1)


def test_an_item_that_does_not_fit_is_refused(ask):
    """With the length that it needs, which suffices."""
    with pytest.raises(UserError, match="tokens without any demonstration") as caught:
        ask(2, length=5)
    needed = max(int(example["prompt/tokens"]) for example in ask(0))
    assert f"has {needed} tokens" in str(caught.value)
    ask(2, length=needed)


REAL = {
    "sst2": "validation",
    "boolq": "train",
    "cb": "validation",
    "copa": "validation",
    "multirc": "train",
    "record": "train",
    "rte": "train",
    "wic": "train",
    "wsc": "validation",
    "dpr": "test",
    "ende": "validation",
    "enfr": "validation",
}


@pytest.mark.parametrize(
    ("name", "folder", "fields"),
    [("axb", "AX-b", ("sentence1", "sentence2")), ("axg", "AX-g", ("premise", "hypothesis"))],
)
def test_diagnostic_sets_are_demonstrated_by_rte(name, folder, fields, ask, read_from, tmp_path):
    """They have a test split alone; what their sides are called does not matter."""
    for name_of_set, file, sides, count in [
        ("RTE", "train", ("premise", "hypothesis"), 3),
        (folder, folder, fields, 2),
    ]:
        labels = ["entailment", "not_entailment"]
        rows = [
            {
                "idx": number,
                "label": labels[number % 2],
                **{side: f"{name_of_set} {side} {number}" for side in sides},
            }
            for number in range(count)
        ]
        (tmp_path / name_of_set).mkdir()
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (tmp_path / name_of_set / f"{file}.jsonl").write_text(lines)
    read_from(tmp_path)
    set_few_shot(FewShotConfig(k=2))
    asked = EvaluationTask(seqio.TaskRegistry.get(f"few_shot_{name}"))
    found = list(asked.examples(split="test", task_feature_lengths=None))
    assert [prompt_of(example).right for example in found] == [0, 1]
    for example, number in zip(found, range(2), strict=True):
        text = example["inputs_pretokenized"]
        assert text.count("RTE premise") == 2
        item = f"{folder} {fields[0]} {number}\nQuestion: {folder} {fields[1]} {number} True or"
        assert text.rpartition("\n\n")[2].startswith(item)


@pytest.mark.test_data
@pytest.mark.parametrize("name", REAL)
def test_rows_put_real_examples(name, ask, read_from, test_data_dir):
    """No option scores better than the right one, and each is an answer of its own."""
    read_from(
        *(test_data_dir / part for part in ("glue", "superglue", "superglue/FewGLUE")),
        test_data_dir / "translation",
    )
    set_few_shot(FewShotConfig(k=2))
    asked = EvaluationTask(seqio.TaskRegistry.get(f"few_shot_{name}"))
    for example in asked.examples(split=REAL[name], task_feature_lengths=None, num_examples=5):
        prompt = prompt_of(example)
        assert len(prompt.shown) == 2 and prompt.item.strip() == prompt.item
        texts = prompt.options or [example["targets_pretokenized"]]
        right = max(prompt.right, 0)
        predictions = [asked.prediction(text, example) for text in texts]
        for metric in asked.metrics:
            found = [sum(metric([asked.target(example)], [each]).values()) for each in predictions]
            assert found[right] == max(found)
        assert len({str(each) for each in predictions}) == len(texts)


def test_the_last_word_of_a_passage_is_asked(ask, read_from, tmp_path):
    """LAMBADA's files, one passage a line."""
    (tmp_path / "test.txt").write_text("It rained all day and we got wet\nNo , said the fox\n")
    read_from(tmp_path)
    set_few_shot(FewShotConfig())
    asked = EvaluationTask(seqio.TaskRegistry.get("few_shot_lambada"))
    first, second = asked.examples(split="test", task_feature_lengths=None)
    assert first["inputs_pretokenized"] == "It rained all day and we got"
    assert (asked.target(first), asked.target(second)) == ("wet", "fox")
    assert [asked.prediction(text, first) for text in (" wet. And", " ) .", "")] == ["wet", ")", ""]
    assert [len(asked.metrics), len(asked.score_metrics)] == [1, 1]
