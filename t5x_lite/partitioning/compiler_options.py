"""What a training step asks of the compiler of a mesh's platform."""

from collections.abc import Mapping

# Sums of gradients go on beside the products of the layer before (libtpu 0.0.42: it needs both of
# the first two), each kernel's by itself: one that was combined with others would be waited for.
# Below a megabyte they are combined, since each has a latency.
_TPU = {
    "xla_enable_async_all_reduce": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": "true",
    "xla_jf_crs_combiner_threshold_in_bytes": str(2**20),
}


def of(platform: str) -> Mapping[str, str]:
    """Names and values for `jax.jit(compiler_options=...)`; of most platforms none."""
    return _TPU if platform == "tpu" else {}
