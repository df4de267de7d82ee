"""What the command line gives experiments to work on, in place of what the lab has by itself."""

import dataclasses
import pathlib
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Given:
    """The folder of a data set, and Hugging Face directories of models by the names of rows."""

    data: pathlib.Path | None = None
    models: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)

    @property
    def flags(self) -> list[str]:
        """The words of the command line that give it."""
        models = ",".join(f"{name}={directory}" for name, directory in self.models.items())
        data = [] if self.data is None else [f"--data={self.data}"]
        return [*data, *([f"--models={models}"] if models else [])]


NOTHING = Given()


def models(text: str) -> dict[str, pathlib.Path]:
    """Of `NAME=DIRECTORY,NAME=DIRECTORY`.

    Raises:
        ValueError: it is written otherwise, or a name is there twice.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name for name, _, _ in pairs]
    if not all(name and directory for name, _, directory in pairs) or len({*names}) < len(names):
        raise ValueError(
            f"--models={text}: needed is a directory for each name, and each name once: "
            "--models=bert=DIR,t5=DIR"
        )
    return {name: pathlib.Path(directory).resolve() for name, _, directory in pairs}
