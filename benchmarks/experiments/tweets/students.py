"""A student that begins as every other layer of its teacher (Sanh et al. 2019, section 3)."""

import pathlib
import shutil

from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run
from t5x_lite.compression.distillation_config import StudentConfig


def directory(lab: Lab, teacher: Run) -> pathlib.Path:
    """A Hugging Face directory with the student of a run, which is trained before."""
    from t5x_lite.checkpoints import huggingface, pretrained
    from t5x_lite.compression.students import make
    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner
    from t5x_lite.text.tokenizer import load_tokenizer

    place = lab.train(teacher) / "every_other_layer"
    if not place.exists():
        found = pretrained.describe(lab.folder(teacher))
        partitioner = make_partitioner(PartitioningConfig())
        parameters, _ = pretrained.load_parameters(found.path, found.model, partitioner)
        # Whole or not there.
        partial = place.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        assert found.model.encoder is not None, "of an encoder"
        layers = tuple(range(1, found.model.encoder.depth + 1, 2))
        student = StudentConfig(encoder_layers=layers, without=("token_types", "pooler"))
        model, parameters = make(student, found.model, parameters)
        huggingface.save(partial, model, parameters, load_tokenizer(found.vocabulary))
        partial.rename(place)
    return place
