"""Experiments on smaller models: what their arms differ in, and what their notes say."""

import pytest

from benchmarks.experiments import (
    corpora,
    eight_bits,
    locked,
    pruned,
    pruned_translation,
    sentiments,
    shallow,
    two_stages,
)
from benchmarks.experiments.experiment import Record
from benchmarks.experiments.lab import Lab

ARMS = {
    "P-2": [shallow.TEACHER, shallow.TAUGHT, shallow.ALONE],
    "P-3": [two_stages.TEACHER, two_stages.BOTH, two_stages.CLASSES, two_stages.ALONE],
    "P-4": [eight_bits.FLOAT, eight_bits.AFTERWARDS, eight_bits.TRAINED],
    "P-5": [pruned_translation.BEFORE, *pruned_translation.FILES],
    "P-6": [locked.DENSE, locked.PRUNED],
}


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, say=lambda text: None)


def changed(one, other):
    """Settings of two runs that are not alike."""
    names = {*one.settings, *other.settings}
    return {name for name in names if one.settings.get(name) != other.settings.get(name)}


def test_students_differ_in_their_teacher_alone(lab):
    taught, alone = (shallow.training(lab, arm, 0) for arm in (shallow.TAUGHT, shallow.ALONE))
    assert changed(taught, alone) == {"TEACHER_PATH"}
    assert taught.settings["TEACHER_PATH"] == str(lab.folder(pruned.first(lab, 0)))
    assert taught.gin_files == (*alone.gin_files, shallow.FILE)
    assert (taught.steps, taught.seed) == (alone.steps, alone.seed)
    assert alone.settings["NUM_ENCODER_LAYERS"] == 1 and not alone.settings["RESTORE_OPTIMIZER"]


def test_two_stages_are_as_many_steps_as_one(lab):
    """And none of them sees labels where a teacher tells the classes."""
    inside, both, classes, alone = (
        two_stages.inside(lab, 0),
        *(two_stages.training(lab, arm, 0) for arm in ARMS["P-3"][1:]),
    )
    assert both.start_from == inside and both.fresh
    assert inside.steps + both.steps == classes.steps == alone.steps
    assert changed(classes, alone) == {"TEACHER_PATH"}
    assert changed(inside, both) == {"TEACHER_WIDTH"}
    files = [run.gin_files[1:] for run in (inside, both, classes, alone)]
    assert files == [(two_stages.INSIDE,), (two_stages.TOLD,), (two_stages.TOLD,), ()]


def test_8_bits_are_trained_on_what_the_dense_run_reads(lab):
    dense, trained = eight_bits.dense(lab, 0), eight_bits.trained(lab, 0)
    assert not changed(dense, trained) and dense.start_from == trained.start_from
    assert trained.gin_files == (*dense.gin_files, eight_bits.FILE)


def test_stacks_of_t5_start_where_no_target_was_empty(lab):
    """What is set of pruning is all that the arms differ in, the schedule that it rewinds too."""
    dense, taught, gradual = (
        pruned_translation.training(lab, arm, 0) for arm in pruned_translation.FILES
    )
    for run in (dense, taught, gradual):
        assert run.start_from == pruned_translation.first(lab, 0)
        assert run.settings["MIXTURE_OR_TASK_NAME"] == corpora.with_empty(0.0)
    pruning = {"SPARSITY", "PRUNING_END", "PRUNING_PERIOD", "LEARNING_RATE_FACTORS"}
    assert changed(dense, gradual) == pruning and not changed(taught, gradual)


def test_the_dense_model_that_is_fine_tuned_had_as_many_steps(lab):
    dense, kept = (locked.training(lab, arm, 0) for arm in ARMS["P-6"])
    assert not changed(dense, kept)
    assert dense.start_from.last_step == kept.start_from.last_step
    assert kept.gin_files == (*dense.gin_files, "compression/lock.gin")


def records(metric, values):
    """One seed of each arm."""
    return [Record(arm, 0, {metric: value}) for arm, value in values.items()]


def test_notes_say_what_holds():
    """Of a margin, a gate, and costs beside float32."""
    two = [
        Record(locked.DENSE, 0, {"accuracy": 70.0, "zeros_before": 0.0, "zeros": 0.0}),
        Record(locked.PRUNED, 0, {"accuracy": 68.5, "zeros_before": 90.0, "zeros": 90.0}),
    ]
    (note,) = locked._notes(two)
    assert "-1.5 points" in note and ", within the margin of 2" in note and "zeros is the" in note
    scores = {"accuracy": 67.5, "zeros_before": 90.0, "zeros": 89.0}
    (note,) = locked._notes([two[0], Record(locked.PRUNED, 0, scores)])
    assert "NOT within the margin of 2" in note and "zeros is NOT the same" in note
    found = [
        Record(arm, seed, {"accuracy": level + seed})
        for arm, level in zip(ARMS["P-3"], (72.0, 71.0, 69.0, 66.0), strict=True)
        for seed in range(3)
    ]
    gate, beside = two_stages._notes(found)
    assert "is met: +5.00 [+5.00, +5.00] points, higher" in gate
    assert beside.endswith("states and scores, then classes -1.0, classes -3.0, no teacher -6.0.")
    gate, _ = two_stages._notes([each for each in found if each.seed == 0])
    assert "is NOT met" in gate
    losses = dict(zip(ARMS["P-4"], (2.0, 2.01, 1.99), strict=True))
    (note,) = eight_bits._notes(records("loss", losses))
    assert "afterwards +0.0100 to +0.0100; trained in 8 bits -0.0100 to" in note
    losses = dict(zip(ARMS["P-2"], (2.0, 2.1, 2.2), strict=True))
    (note,) = shallow._notes(records("loss", losses))
    assert "with it by +0.100 nats and the one without by +0.200" in note


@pytest.mark.test_data
def test_a_sentence_is_told_as_it_is_written(test_data_dir, monkeypatch):
    """The class of each is the place of its label."""
    import seqio
    import tensorflow as tf

    from benchmarks.experiments import tasks

    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(test_data_dir))
    for each in corpora.sentiments("test")[:20]:
        shown = tasks.sentiment_to_class({name: tf.constant(text) for name, text in each.items()})
        assert shown["first"].numpy().decode() == each["sentence"]
        assert tasks.SENTIMENTS[int(shown["classes"])] == each["label"]
    assert sentiments.TASK in seqio.TaskRegistry.names()
