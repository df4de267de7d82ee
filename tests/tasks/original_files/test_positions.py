"""Training on original files resumes where it was, as training on TFDS does."""

import seqio
import tensorflow as tf

from t5x_lite.data import unsaveable
from t5x_lite.data.config import DatasetConfig

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, glue, squad, super_glue, translation  # noqa: F401


def test_positions_in_training_data_can_be_saved(files, read_from, vocabulary):
    """No task keeps state of its own in the pipeline, so a restart reads nothing twice."""
    read_from(files)
    for name in (
        "glue_cola_v002",
        "super_glue_record_v102",
        "super_glue_wsc_v102_simple_train",
        "squad_v010_allanswers",
        "cnn_dailymail_v002",
        "wmt16_enro_v003",
    ):
        lengths = {"inputs": 64, "targets": 16}
        config = DatasetConfig(mixture_or_task_name=name, task_feature_lengths=lengths)
        assert unsaveable.explain(config) == "", name


def test_a_stream_goes_on_where_it_was_saved(files, read_from, tmp_path):
    """Also within a compressed file."""
    read_from(files)
    dataset = seqio.TaskRegistry.get("wmt_t2t_ende_v003").source.get_dataset("train")
    iterator = iter(dataset)
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "position"))
    expected = next(iterator)["en"].numpy()
    again = iter(dataset)
    tf.train.Checkpoint(iterator=again).restore(path)
    assert next(again)["en"].numpy() == expected == b"It snows."
