"""The peers of benchmarks/speed are compared as well; it is no part of the package."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
