"""t5x_lite: text-to-text transfer learning in JAX, from a laptop to a TPU pod.

model = t5x_lite.load("/runs/one")  # a checkpoint of ours or a Hugging Face directory
model.generate(["translate English to German: That is good."])
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t5x_lite.inference.text_model import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load` brings JAX along, so it is imported when it is first asked for."""
    if name == "load":
        from t5x_lite.inference.text_model import load

        return load
    raise AttributeError(f"module 't5x_lite' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "load"])
