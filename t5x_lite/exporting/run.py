"""Runs an exported model without t5x_lite: `pip install jax flatbuffers safetensors` is enough.

    python run.py generate '[[8774, 6, 82, 1], [947, 1]]'
    python run.py score '[[8774, 1]]' '[[947, 1]]'
    python run.py encode '[[8774, 1]]'

Lists of token ids go in, each with the end token where the model reads one (manifest.json,
prompts.end_token); a line of JSON comes out for each. As a module:

    from run import Model
    Model("exported").generate([[8774, 6, 82, 1]])

This file is copied into what `t5x_lite export --format=stablehlo` writes.
"""

import json
import pathlib
import sys

import jax
import jax.export
import numpy as np
import safetensors.numpy


class Model:
    """The programs of a folder, with its parameters on the device. Batches of a size that was not
    seen yet are compiled.
    """

    def __init__(self, folder: str | pathlib.Path) -> None:
        folder = pathlib.Path(folder)
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.parameters = jax.device_put(
            safetensors.numpy.load_file(folder / "parameters.safetensors")
        )
        self._programs = {
            name: jax.jit(
                jax.export.deserialize(bytearray((folder / each["file"]).read_bytes())).call
            )
            for name, each in self.manifest["programs"].items()
        }

    def generate(self, inputs: list[list[int]], first_index: int = 0) -> list[list[dict]]:
        """For each input its outputs, best first: ids up to the end token, log-probability, score.
        Sampling draws by the number of an input, which counts from `first_index`.
        """
        index = np.arange(first_index, first_index + len(inputs), dtype=np.int32)
        tokens, log_probs, scores = self._run("generate", *self._padded("input", inputs), index)
        return [
            [
                {"ids": self._ended(row), "log_prob": float(log_prob), "score": float(score)}
                for row, log_prob, score in zip(*own)
            ]
            for own in zip(tokens, log_probs, scores)
        ]

    def score(self, inputs: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """The log-probability of each token of each target, given its input."""
        given = self._padded("input", inputs), self._padded("target", targets)
        (log_probs,) = self._run("score", *given[0], *given[1])
        return [row[: len(ids)].tolist() for row, ids in zip(log_probs, targets)]

    def encode(self, inputs: list[list[int]]) -> list[np.ndarray]:
        """A vector for each token of each input."""
        (hidden,) = self._run("encode", *self._padded("input", inputs))
        return [row[: len(ids)] for row, ids in zip(hidden, inputs)]

    def _run(self, name: str, *arrays: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(each) for each in self._programs[name](self.parameters, *arrays)]

    def _padded(self, name: str, rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
        arguments = self.manifest["programs"]["score"]["arguments"]
        (length,) = (each["shape"][1] for each in arguments if each["name"] == f"{name}_tokens")
        if max(map(len, rows), default=0) > length:
            raise ValueError(f"an {name} is longer than the {length} tokens that were exported")
        tokens = np.full((len(rows), length), self.manifest["special"]["padding"], np.int32)
        mask = np.zeros((len(rows), length), np.int32)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)], mask[row, : len(ids)] = ids, 1
        return tokens, mask

    def _ended(self, row: np.ndarray) -> list[int]:
        ids, end = row.tolist(), self.manifest["special"]["end"]
        return ids[: ids.index(end) + 1] if end in ids else ids


def main(words: list[str]) -> None:
    """Prints what a program says of lists of ids."""
    if len(words) < 2 or words[0] not in ("generate", "score", "encode"):
        raise SystemExit(__doc__)
    model = Model(pathlib.Path(__file__).parent)
    for answer in getattr(model, words[0])(*map(json.loads, words[1:])):
        print(json.dumps(answer.tolist() if isinstance(answer, np.ndarray) else answer))


if __name__ == "__main__":
    main(sys.argv[1:])
