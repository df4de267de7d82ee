"""LoRA put into the kernels it stands beside: the plain model that answers the same.

model, parameters = merge(model, parameters)
huggingface.save("hf", model, parameters)
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from t5x_lite.model.config import LoraConfig, ModelConfig


def merge(model: ModelConfig, parameters: Mapping[str, Any]) -> tuple[ModelConfig, dict[str, Any]]:
    """The model without LoRA, and parameters with kernel + alpha / rank * A B for each kernel.

    Arrays of NumPy or JAX, float32; the logits differ by rounding. A model without LoRA stays.
    """
    config = model.block.lora
    if config is None:
        return model, dict(parameters)
    return model.with_blocks(lora=None), _merged(config, parameters)


def _merged(config: LoraConfig, tree: Mapping[str, Any]) -> dict[str, Any]:
    if "lora" in tree:
        # [layers, in_dim, rank] times [layers, rank, out_dim]
        product = jnp.matmul(tree["lora"]["a"], tree["lora"]["b"], precision="highest")
        plain = {name: node for name, node in tree.items() if name != "lora"}
        return plain | {"kernel": tree["kernel"] + product * (config.alpha / config.rank)}
    return {
        name: _merged(config, node) if isinstance(node, Mapping) else node
        for name, node in tree.items()
    }
