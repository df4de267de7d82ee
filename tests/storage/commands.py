"""Runs commands one after another in one process, so that TensorFlow and JAX are imported once.

python commands.py '[["train", ...], ["eval", ...]]'
"""

import json
import sys

from t5x_lite import cli

for words in json.loads(sys.argv[1]):
    print("$", *words[:1], flush=True)
    status = cli.main(words)
    print(f"status of {words[0]}: {status}", flush=True)
    if status:
        sys.exit(status)
