"""The comparison on tweets: its data, its rows, what is varied, and what is said of the numbers."""

import csv
import pathlib

import numpy as np
import pytest

from benchmarks.experiments import catalogue, given, report, results, runs, statistics
from benchmarks.experiments.experiment import Record
from benchmarks.experiments.given import Given
from benchmarks.experiments.lab import FEW_PIECES, FEW_WORD_PIECES, Lab
from benchmarks.experiments.tweets import comparison, data, finetuning, influences, models
from benchmarks.experiments.tweets.finetuning import Factors
from t5x_lite import cli
from t5x_lite.tasks import disaster_tweets

ROOT = pathlib.Path(__file__).resolve().parents[2]
USUAL = Factors()
TEXTS = ("a quake", "the flood &amp; fire http://t.co/x", "what a song!", "@me I like songs")


def written(folder: pathlib.Path, count: int = 200) -> pathlib.Path:
    """A file of the competition, of which three in eight are of disasters."""
    folder.mkdir()
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "keyword", "location", "text", "target"])
        for number in range(count):
            is_disaster = number % 8 < 3
            text = TEXTS[number % 2 + 2 * (not is_disaster)]
            writer.writerow([number, "", "", f"{text} number {number}", int(is_disaster)])
    return folder


@pytest.fixture
def lab(tmp_path):
    """One to which the competition's file was given."""
    folder = written(tmp_path / "given")
    return Lab(tmp_path / "lab", say=lambda text: None, given=Given(folder))


@pytest.mark.test_data
def test_a_stand_in_is_read_as_tweets_are(tmp_path, test_data_dir, monkeypatch):
    """Sentences with commas and quotes as they are, in three splits, the same at every start."""
    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(test_data_dir))
    lab = Lab(tmp_path)
    texts, labels = [], []
    for split in ("train", "validation", "test"):
        found = data.labelled(lab, split)
        texts += found[0]
        labels += found[1]
    assert len(texts) == data.SENTENCES
    assert 0.5 < np.mean(labels) < 0.6
    assert any('"' in text or "," in text for text in texts)
    file = data.folder(lab) / "train.csv"
    before = file.stat().st_mtime_ns
    assert data.folder(Lab(tmp_path)) == file.parent and file.stat().st_mtime_ns == before
    assert "sentences of SST-2" in data.described(lab)


def test_what_was_given_is_read_in_place_of_it(lab):
    assert data.folder(lab) == lab.given.data
    assert "160 train, 20 validation, 20 test" in data.described(lab)


def test_a_folder_without_the_file_is_told_first(tmp_path):
    lab = Lab(tmp_path, given=Given(tmp_path))
    with pytest.raises(FileNotFoundError, match="No train.csv in"):
        comparison.setup_of(lab)


def test_cleanings_that_change_no_tweet_are_no_arms(lab, tmp_path):
    """Nor are those that give what another gives; all of them are tasks."""
    assert {f"{data.TASK}_{name}" for name in data.CLEANINGS} | {data.TASK} == {
        *disaster_tweets.CLEANINGS
    }
    names = ("no_urls", "no_handles", "no_punctuation", "lower_case", "clean")
    assert data.cleanings(lab) == [f"{data.TASK}_{name}" for name in names]
    arms = influences.factors(lab, models.BERT)
    assert "no urls" in arms and "keyword" not in arms


def test_scores_without_a_model(lab):
    """The majority is right as often as it is there; words tell what words can tell."""
    _, true = data.labelled(lab, "test")
    level = data.majority(lab)
    assert level == {
        "accuracy": pytest.approx(100 * (1 - np.mean(true))),
        "f1": 0.0,
        "examples": len(true),
    }
    assert data.tf_idf(lab)["accuracy"] == 100.0
    assert data.scores([1, 1, 0, 0], [1, 0, 1, 0])["f1"] == pytest.approx(50.0)


def test_weights_make_both_classes_count_alike(lab):
    _, labels = data.labelled(lab, "train")
    weights = np.array(data.balanced(lab))[labels]
    assert weights.mean() == pytest.approx(1.0)
    assert weights[np.equal(labels, 1)].sum() == pytest.approx(weights[np.equal(labels, 0)].sum())


def test_all_models_are_pre_trained_alike(lab):
    """The same number of steps, rows and tokens, and fine-tunings differ in nothing but the model
    and its optimizer's rate.
    """
    pretrained = {key: models.start(lab, key, 1).run for key in models.ROWS}
    assert (
        len({(run.steps, run.seed, run.settings["BATCH_SIZE"]) for run in pretrained.values()}) == 1
    )
    read = {run.settings["TASK_FEATURE_LENGTHS"]["inputs"] for run in pretrained.values()}
    assert len(read) == 1
    tuned = [tuning(lab, key) for key in models.ROWS]
    alike = ("BATCH_SIZE", "DROPOUT_RATE", "EVAL_STEPS", "TASK_FILES")
    assert len({(run.steps, *(run.settings[name] for name in alike)) for run in tuned}) == 1


def test_a_student_is_half_its_teacher_and_taught_by_it(lab):
    run, teacher = (models.start(lab, key, 2).run for key in (models.DISTILBERT, models.BERT))
    assert 2 * run.settings["NUM_ENCODER_LAYERS"] == teacher.settings["NUM_ENCODER_LAYERS"]
    assert run.settings["TrainConfig.teacher_path"] == str(lab.folder(teacher))
    assert run.directory.keywords == {"teacher": teacher} and run.start_from is None


def tuning(lab, key, factors=USUAL, *, few=False):
    return finetuning.finetuning(lab, key, models.start(lab, key, 0, few=few), "arm", 0, factors)


def every_run(lab):
    for key in models.ROWS:
        yield models.start(lab, key, 0).run
    for key in influences.KEYS:
        yield models.start(lab, key, 0, few=True).run
        for factors in influences.factors(lab, key).values():
            yield tuning(lab, key, factors, few=factors.few_pieces)


@pytest.mark.slow
def test_every_command_is_one_that_t5x_lite_accepts(lab, capsys):
    """Of each kind of model, and with everything that is varied."""
    found = list(every_run(lab))
    assert len(found) > 25
    for run in found:
        words = runs.train_words(run, model_dir="m", vocabulary="v", parent_dir="p")
        assert cli.main([*words, "--dry_run"]) == 0, capsys.readouterr().err
        shown = capsys.readouterr().out
        assert f"TRAIN_STEPS_RELATIVE = {run.steps}" in shown


def test_one_factor_is_varied_at_a_time(lab):
    """Each run differs from the usual one in what it is named for, and in what follows of that."""
    follows = {
        "LEARNING_RATE": {"LEARNING_RATE"},
        "BATCH_SIZE": {"BATCH_SIZE", "ScheduleConfig.total_steps", "WARMUP_STEPS"},
        "MIXTURE_OR_TASK_NAME": {"MIXTURE_OR_TASK_NAME"},
        "CLASS_WEIGHTS": {"CLASS_WEIGHTS"},
    }
    for key in influences.KEYS:
        usual = tuning(lab, key)
        seen = set()
        for name, factors in influences.factors(lab, key).items():
            run = tuning(lab, key, factors, few=factors.few_pieces)
            names = {*run.settings, *usual.settings}
            changed = {n for n in names if run.settings.get(n) != usual.settings.get(n)}
            if name in (influences.USUAL, influences.FEW):
                assert not changed
                assert (run.vocabulary == usual.vocabulary) == (name == influences.USUAL)
                continue
            (kind,) = changed & {*follows}
            assert changed <= follows[kind], name
            seen.add(kind)
            assert run.vocabulary == usual.vocabulary
        assert seen == {*follows} - ({"CLASS_WEIGHTS"} if key == models.T5 else set())


def test_batches_of_another_size_have_the_same_number_of_rows(lab):
    for size in influences.BATCHES.values():
        run = tuning(lab, models.BERT, Factors(batch_size=size))
        assert run.steps * size == finetuning.STEPS * finetuning.BATCH_SIZE


def test_few_pieces_are_a_vocabulary_with_a_pretraining_of_its_own(lab):
    for key, kind in ((models.BERT, FEW_WORD_PIECES), (models.T5, FEW_PIECES)):
        usual, few = (models.start(lab, key, 0, few=few) for few in (False, True))
        assert few.run.vocabulary == kind and few.run.name != usual.run.name
        assert lab.vocab_size(kind) < lab.vocab_size(usual.run.vocabulary) / 3
        assert few.run.settings == usual.run.settings


RECORDS = [
    Record(data.MAJORITY, None, {"accuracy": 57.0, "examples": 400}),
    Record(data.TF_IDF, None, {"accuracy": 75.0, "examples": 400}),
    *(Record("BERT", seed, {"accuracy": value}) for seed, value in enumerate((70.0, 71.0, 72.0))),
    *(Record("T5", seed, {"accuracy": value}) for seed, value in enumerate((57.0, 58.0, 60.0))),
    *(Record("XLNet", seed, {"accuracy": value}) for seed, value in enumerate((66.0, 70.0, 74.0))),
]


def test_notes_claim_what_the_spread_carries():
    """Of seeds and of tests, both."""
    above, order = comparison.notes(RECORDS)
    assert "the 57.0 % of the majority class" in above and "400 tests" in above
    assert "BERT 6.0 (above)" in above and "T5 0.5 (NOT above)" in above
    assert "Of the 3 pairs" in order and "BERT above T5; XLNet above T5." in order
    assert "BERT above XLNet" not in order


def test_a_standard_error_is_of_seeds_and_of_tests():
    """Seeds that agree leave that of the tests; more tests leave that of the seeds."""
    assert comparison.standard_error([50.0, 50.0], 100) == pytest.approx(5.0)
    assert comparison.standard_error([50.0], 100) == pytest.approx(5.0)
    spread = statistics.spread([48.0, 52.0, 50.0])
    assert comparison.standard_error([48.0, 52.0, 50.0], 10**12) == pytest.approx(
        spread.deviation / 3**0.5, rel=1e-4
    )


def test_influences_are_told_by_intervals_of_paired_differences():
    usual, other, third = (f"BERT, {name}" for name in (influences.USUAL, "no urls", "rate x 3"))
    records = [Record(data.MAJORITY, None, {"accuracy": 57.0})]
    for seed, value in enumerate((70.0, 71.0, 72.0)):
        records.append(Record(usual, seed, {"accuracy": value}))
        records.append(Record(other, seed, {"accuracy": value + 2 + 0.1 * seed}))
        records.append(Record(third, seed, {"accuracy": value + 5 * (seed - 1)}))
    (note,) = influences.EXPERIMENT.notes(records)
    assert "Of 2 differences" in note and other in note and third not in note


def test_both_tables_have_their_place_among_the_results(tmp_path):
    """And are written there."""
    page = tmp_path / "RESULTS.md"
    page.write_text((ROOT / "docs" / "RESULTS.md").read_text())
    spent = {"seconds": 60.0, "cpu_seconds": 60.0}
    influenced = [Record(f"BERT, {influences.USUAL}", 0, {"accuracy": 60.0, "f1": 50.0})]
    for each, records in (
        (comparison.EXPERIMENT, RECORDS),
        (influences.EXPERIMENT, [RECORDS[0], *influenced]),
    ):
        found = results.Results(results.circumstances(each, "a command", spent), records)
        report.publish(each, found, tmp_path)
        assert each.title in page.read_text()
    assert "| BERT | 3 | 71.00 \N{PLUS-MINUS SIGN} 1.00 | - |" in page.read_text()


def test_names_before_a_dash_are_all_of_them():
    keys = [each.key for each in catalogue.chosen(["tweets"])]
    assert keys == ["tweets-models", "tweets-influences"]
    assert [each.key for each in catalogue.chosen(["tweets-models", "tweets"])] == keys
    with pytest.raises(ValueError, match="no experiment tweet.*tweets-models"):
        catalogue.chosen(["tweet"])


def test_directories_are_named_by_rows(lab):
    found = given.models("bert=one,t5=two/three")
    assert {key: path.name for key, path in found.items()} == {"bert": "one", "t5": "three"}
    for text in ("bert", "bert=", "bert=a,bert=b", "=a"):
        with pytest.raises(ValueError, match="--models=bert=DIR"):
            given.models(text)
    assert Given(pathlib.Path("a"), {"t5": pathlib.Path("b")}).flags == [
        "--data=a",
        "--models=t5=b",
    ]
    lab.given = Given(lab.given.data, {"brt": pathlib.Path("one")})
    with pytest.raises(ValueError, match="--models names brt.*bert.*needed are bert, roberta"):
        comparison.setup_of(lab)
