"""Where a prompt starts that a checkpoint does not have: at vectors of its own vocabulary.

Lester et al. (2021), section 3.2: vectors of tokens drawn from the 5,000 most common ones, which
tell the model something from the first step, as random vectors do not.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.features.config import SpecialTokens

# Vocabularies order their pieces by how common they are.
_NUM_COMMON = 5000


def from_vocabulary(
    parameters: dict[str, Any], key: PRNGKeyArray, special: SpecialTokens
) -> dict[str, Any]:
    """The parameters with a prompt of token vectors, each of another token while there are enough.

    The prompt stays on the devices where it is.
    """
    prompt = parameters["prompt"]["embedding"]

    def draw(table: Float[Array, "vocab embed"]) -> Float[Array, "prompt_length embed"]:
        no_text = {special.padding, special.start, special.end, special.unknown}
        text = jnp.array([i for i in range(len(table)) if i not in no_text][:_NUM_COMMON])
        order = jax.random.permutation(key, len(text))
        return jnp.take(table, text[jnp.resize(order, (len(prompt),))], axis=0)

    drawn = jax.jit(draw, out_shardings=prompt.sharding)(parameters["token_embedder"]["embedding"])
    return {**parameters, "prompt": {"embedding": drawn}}
