"""Whether a job can prune as it is asked to, and has a pattern where one is to be locked."""

from typing import Any

import jax
import numpy as np

from t5x_lite.checkpoints import pretrained
from t5x_lite.checkpoints.restoring import leaves, restore
from t5x_lite.compression.pruning_config import PruningMethod
from t5x_lite.compression.sparsities import check_length
from t5x_lite.errors import UserError
from t5x_lite.finetuning import additions
from t5x_lite.training.start import Origin
from t5x_lite.training.state import StateFactory


def check(factory: StateFactory, origin: Origin) -> None:
    """Reads kernels of what the run starts from until one has zeros, if they are to be locked: of
    some models only some kernels were pruned.

    Raises:
        UserError: the run ends before its pruning does, or its zeros are none.
    """
    pruning, problem = factory.pruning, None
    if pruning is None:
        return
    check_length(pruning.config, origin.last_step - origin.initial_step)
    if origin.path is None or pruning.config.method is not PruningMethod.LOCKED:
        return
    for name in pruning.kernels:
        try:
            pruning.check_zeros({name: _read(factory, origin, name)})
        except UserError as error:
            problem = problem or error
        else:
            return
    if problem is not None:
        raise problem


def _read(factory: StateFactory, origin: Origin, name: str) -> jax.Array:
    if origin.is_foreign:
        with pretrained.open_foreign(origin.path, None) as (_, parameters):
            return jax.device_put(np.asarray(leaves(parameters)[name]))
    abstract: Any = factory.abstract.parameters
    rest = [each for each in leaves(abstract) if each != name]
    asked = {"parameters": additions.without(abstract, rest)}
    return leaves(restore(origin.path, asked, strict=False)["parameters"])[name]
