"""Gradual unfreezing: which step of a run is the first that trains a layer.

Raffel et al. (2020), section 3.5.1, after Howard and Ruder (2018): a run is divided into episodes,
and episode n = 0, 1, ... trains the top n + 1 layers of both stacks. Token embedding, head and the
norms above the stacks train always. The table of position biases that the layers of a stack share
belongs to the first one in T5's code, so it trains last.

>>> first_steps(depth=3, episodes=3, steps=100)
[67, 34, 0]
"""

from t5x_lite.errors import UserError
from t5x_lite.finetuning.config import UnfreezingConfig
from t5x_lite.model.config import LayerSharing, ModelConfig, Sharing, StackConfig
from t5x_lite.optim.config import ParameterGroup


def first_steps(*, depth: int, episodes: int, steps: int) -> list[int]:
    """Of each layer, the lowest first.

    With another number of episodes than layers, episode n trains the top (n + 1) * depth / episodes
    of them, rounded up.
    """
    opening = [(depth - 1 - layer) * episodes // depth for layer in range(depth)]
    # Episodes of 21,845.33 steps: the first whole step that is not before the boundary.
    return [-(-episode * steps // episodes) for episode in opening]


def groups(config: UnfreezingConfig, model: ModelConfig) -> tuple[ParameterGroup, ...]:
    """The same as parameter groups, which training knows how to treat.

    Raises:
        UserError: there are more layers than steps, or layers share weights.
    """
    stacks = _stacks(model)
    for stack in stacks.values():
        if stack.layer_sharing is not LayerSharing.NONE:
            raise UserError(
                f"layer_sharing={stack.layer_sharing.value!r}: layers with weights in common "
                "cannot begin to train one after the other; needed is a model whose layers have "
                "their own, or another way of fine-tuning."
            )
    episodes = config.episodes or max(stack.depth for stack in stacks.values())
    if episodes > config.steps:
        raise UserError(
            f"steps={config.steps} of gradual unfreezing are fewer than its {episodes} episodes, "
            "one a layer: raise --gin.UNFREEZING_STEPS, or lower --gin.UNFREEZING_EPISODES."
        )
    by_depth: dict[int, list[str]] = {}
    for name, stack in stacks.items():
        by_depth.setdefault(stack.depth, []).append(name)
    found = []
    for depth, names in by_depth.items():
        pattern = names[0] if len(names) == 1 else f"({'|'.join(names)})"
        opening = first_steps(depth=depth, episodes=episodes, steps=config.steps)
        for step in sorted(set(opening)):
            layers = [layer for layer, first in enumerate(opening) if first == step]
            found.append(
                ParameterGroup(
                    pattern=f"{pattern}/layers/.*",
                    layers=(layers[0], layers[-1]),
                    from_step=step,
                )
            )
        for table in dict.fromkeys(stacks[name].position_table for name in names):
            if table is not None:
                group = ParameterGroup(pattern=f"{pattern}/{table}/.*", from_step=opening[0])
                found.append(group)
    return tuple(found)


def _stacks(model: ModelConfig) -> dict[str, StackConfig]:
    """Those that own weights."""
    shared = model.sharing is Sharing.ENCODER_DECODER
    return {name: s for name, s in model.stacks.items() if name == model.top_name or not shared}
