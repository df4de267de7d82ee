"""The process of a job.

    python -m benchmarks.accelerator.process MODULE:FUNCTION OPTIONS ANYWHERE

It prints one line of JSON: what was found and the card, or why there is nothing; what libraries
print goes to stderr.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

# How JAX, PyTorch and its compiler call what does not fit into the memory of the card.
_OUT_OF_MEMORY = ("resource_exhausted", "out of memory", "outofmemory")
_CPU = "cpu"
DOES_NOT_FIT = {"fits": False}


def told(function: str, options: Mapping[str, Any], *, anywhere: bool) -> dict[str, Any]:
    """What the function finds. That a batch does not fit into memory is found as well
    (`DOES_NOT_FIT`); any other error is told in its first line, and stands in the log.

    Args:
        anywhere: also on a CPU, on which whole shapes would take for ever.
    """
    module, _, name = function.partition(":")
    room = importlib.import_module(module)
    measure: Callable[..., dict[str, Any]] = getattr(room, name)
    try:
        card = room.card()
        if card == _CPU and not anywhere:
            return {"lacking": "no accelerator is seen; --tiny runs anywhere"}
        found = measure(**options)
    except Exception as error:  # one arm's mistake must not end the others
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        if "batch" not in options or not is_out_of_memory(said):
            return {"lacking": said.strip().splitlines()[0][:300]}
        found = DOES_NOT_FIT
    return {"found": found, "card": card}


def is_out_of_memory(said: str) -> bool:
    """Whether an error in words is that of a card that is full."""
    return any(words in said.lower() for words in _OUT_OF_MEMORY)


if __name__ == "__main__":
    _answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _function, _options, _anywhere = sys.argv[1], *map(json.loads, sys.argv[2:])
    _told = told(_function, _options, anywhere=_anywhere)
    print(json.dumps(_told), file=_answer, flush=True)
