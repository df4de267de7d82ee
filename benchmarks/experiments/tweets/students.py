"""A student that begins as every other layer of its teacher (Sanh et al. 2019, section 3)."""

import dataclasses
import pathlib
import shutil
from typing import Any

from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import ModelConfig


def directory(lab: Lab, teacher: Run) -> pathlib.Path:
    """A Hugging Face directory with the student of a run, which is trained before."""
    from t5x_lite.checkpoints import huggingface, pretrained
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
        model, parameters = every_other_layer(found.model, parameters)
        huggingface.save(partial, model, parameters, load_tokenizer(found.vocabulary))
        partial.rename(place)
    return place


def every_other_layer(model: ModelConfig, parameters: Any) -> tuple[ModelConfig, Any]:
    """The first layer, the third and so on, of an encoder; neither types of tokens nor a pooler nor
    a head but that of tokens.
    """
    import jax

    assert model.encoder is not None, "of an encoder"
    depth = -(-model.encoder.depth // 2)
    student = dataclasses.replace(
        model,
        encoder=dataclasses.replace(model.encoder, num_layers=depth, token_types=0),
        heads=tuple(head for head in model.heads if head.kind is HeadKind.TOKENS),
        pooler=False,
    )
    layers = jax.tree.map(lambda leaf: leaf[::2], parameters["encoder"]["layers"])
    encoder = {**parameters["encoder"], "layers": layers}
    encoder.pop("type_embedder", None)
    kept = {name: leaves for name, leaves in parameters.items() if name != "pooler"}
    heads = {"tokens": parameters["heads"]["tokens"]}
    return student, {**kept, "encoder": encoder, "heads": heads}
