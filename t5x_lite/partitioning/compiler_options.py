"""What the compiler of a mesh's platform is asked for, beside what it does by itself."""

import functools
from collections.abc import Mapping

import jax

# Sums of gradients go on beside the products of the layer before (libtpu 0.0.42: it needs both of
# the first two), each kernel's by itself: one that was combined with others would be waited for.
# Below a megabyte they are combined, since each has a latency.
_TPU = {
    "xla_enable_async_all_reduce": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": "true",
    "xla_jf_crs_combiner_threshold_in_bytes": str(2**20),
}
# Products of few rows read weights at the bandwidth of memory in Eigen, at three quarters of it in
# YNNPACK, which jaxlib 0.10 calls of itself.
_FEW_ROWS = {"xla_cpu_experimental_ynn_fusion_type": ""}


def of_training(platform: str) -> Mapping[str, str]:
    """Names and values for the `compiler_options` of jax.jit; of most platforms none."""
    return _TPU if platform == "tpu" else {}


def of_decoding(platform: str, *, few_rows: bool) -> Mapping[str, str]:
    """The same for a program that decodes; `few_rows` where it holds one sequence per example."""
    is_known = platform == "cpu" and few_rows and _is_known(next(iter(_FEW_ROWS)))
    return _FEW_ROWS if is_known else {}


@functools.cache
def _is_known(name: str) -> bool:
    """Whether this jaxlib has the option: compilers refuse those that they do not know."""
    try:
        jax.jit(lambda: 0, compiler_options={name: ""}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
