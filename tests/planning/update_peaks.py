"""Compiles the jobs of peaks.json that have no peak yet: `python tests/planning/update_peaks.py`.

Each is what the command line would say: gin files, macros, a topology. A peak is what libtpu says
of the training step; delete it to measure it anew.
"""

import json
import pathlib

from t5x_lite import config
from t5x_lite.errors import UserError
from t5x_lite.planning import isolated
from t5x_lite.planning.measure import measure
from t5x_lite.planning.memory import Shortage
from t5x_lite.planning.programs import Kind
from t5x_lite.planning.topologies import find
from t5x_lite.training.config import TrainConfig

FILE = pathlib.Path(__file__).with_name("peaks.json")
ALWAYS = {
    "MODEL_DIR": "'nowhere'",
    "MIXTURE_OR_TASK_NAME": "'not_registered'",
    "TRAIN_STEPS": 1,
    "ComputeConfig.activation_dtype": "'bfloat16'",
}


def job_of(case: dict) -> TrainConfig:
    """The job of a case."""
    bound = [("peaks.json", f"{key}={value}") for key, value in (ALWAYS | case["gin"]).items()]
    files = [f"{name}.gin" for name in ("recipes/pretrain", *case["files"])]
    return config.resolve(TrainConfig, files, overrides=bound).config


def main() -> None:
    """One after the other; the file is written after each."""
    cases = json.loads(FILE.read_text())
    for case in cases:
        if "peak" in case:
            continue
        topology = find(case["topology"], slices=case.get("slices", 1))
        try:
            found = isolated.call(measure, job_of(case), topology, Kind.TRAIN)
        except UserError as error:
            print(f"{case}: {error}")
            continue
        if isinstance(found.outcome, Shortage):
            case["peak"] = found.outcome.needed
        else:
            case["peak"] = found.outcome.memory.peak
            times = found.outcome.schedule
            case["seconds"] = [times.compute_seconds, times.step_seconds]
        print(f"{case}: {found.compile_seconds:.0f} s", flush=True)
        FILE.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


if __name__ == "__main__":
    main()
