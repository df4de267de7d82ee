"""benchmarks/ is no part of the package: it is found beside it."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
