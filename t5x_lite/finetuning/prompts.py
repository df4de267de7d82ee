"""Where a prompt starts that a checkpoint does not have: at vectors of its own vocabulary.

Lester et al. (2021), section 3.2: vectors of tokens drawn from the 5,000 most common ones, which
tell the model something from the first step, as random vectors do not.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

# SentencePiece orders its pieces by how common they are; the first three are no text.
_FIRST_TOKEN, _NUM_COMMON = 3, 5000


def from_vocabulary(parameters: dict[str, Any], key: PRNGKeyArray) -> dict[str, Any]:
    """The parameters with a prompt of token vectors, each of another token while there are enough.

    The prompt stays on the devices where it is.
    """
    prompt = parameters["prompt"]["embedding"]

    def draw(table: Float[Array, "vocab embed"]) -> Float[Array, "prompt_length embed"]:
        common = min(_NUM_COMMON, len(table) - _FIRST_TOKEN)
        order = jax.random.permutation(key, common)
        chosen = _FIRST_TOKEN + jnp.resize(order, (len(prompt),))
        return jnp.take(table, chosen, axis=0)

    drawn = jax.jit(draw, out_shardings=prompt.sharding)(parameters["token_embedder"]["embedding"])
    return {**parameters, "prompt": {"embedding": drawn}}
