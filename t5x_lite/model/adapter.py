"""Adapters: a small feed-forward sub-layer behind that of a pre-trained layer.

Raffel et al. (2020), section 3.5.1, after Houlsby et al. (2019) and Bapna et al. (2019): a layer
becomes x + dropout(wo(relu(wi(norm(x))))), and only what was added (and the gains of the layer
norms) is trained.
"""

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.model import parameters
from t5x_lite.model.config import NormConfig
from t5x_lite.model.linear import Linear
from t5x_lite.model.norms import make_norm
from t5x_lite.partitioning.constrain import constrain

# So small that the adapted model starts as the pre-trained one (Houlsby et al. 2019, section 2.1).
# Not zero: Adafactor's steps are proportional to what a tensor holds, and would be tiny for long.
_OUTPUT_STDDEV = 0.01


class Adapter(nnx.Module):
    """What an adapter adds to the residual stream; its hidden units are split over devices as those
    of the feed-forward sub-layer.
    """

    def __init__(self, adapter_dim: int, embed_dim: int, *, norm: NormConfig, key: PRNGKeyArray):
        inward, outward = jax.random.split(key)
        self.layer_norm = make_norm(norm, embed_dim)
        self.wi = Linear(
            parameters.truncated_normal(
                inward, (embed_dim, adapter_dim), axes=("embed", "mlp"), stddev=embed_dim**-0.5
            )
        )
        self.wo = Linear(
            parameters.truncated_normal(
                outward, (adapter_dim, embed_dim), axes=("mlp", "embed"), stddev=_OUTPUT_STDDEV
            )
        )

    def __call__(self, x: Float[Array, "batch length embed"]) -> Float[Array, "batch length embed"]:
        """Position by position, as wide as `x`."""
        hidden = constrain(jax.nn.relu(self.wi(self.layer_norm(x))), ("batch", "length", "mlp"))
        return self.wo(hidden)
