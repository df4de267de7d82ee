"""What a model wrote itself, token by token, as `t5x_lite infer` wrote it down: a judge of its
samples learns from it (Yoshida et al. 2024, section 4).

| task                    | inputs                                    | targets              |
|-------------------------|-------------------------------------------|----------------------|
| own_samples             | what was read, its end token behind it    | the ids of an output |
| own_samples_without_end | what was read, as a GPT-2's prompts are   | the ids of an output |

An output has an end token only where the model wrote one, so none where it was cut.
TASK_FILES is the INFER_OUTPUT_DIR of a job with OUTPUT_IDS=True; every tenth line is held out.
"""

from collections.abc import Mapping
from typing import Any

import seqio
import tensorflow as tf

from t5x_lite import json_lines
from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.examples import INTEGERS, TEXT, ExampleFiles
from t5x_lite.tasks.original_files.folders import Folders
from t5x_lite.tasks.registration import Example, each
from t5x_lite.tasks.sources import DownstreamSource
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

SPLITS = ("train", "validation")
_HELD_OUT = 10
_INPUTS, _IDS = "inputs_pretokenized", "prediction_tokens"
_FILES = "*-predict*.jsonl-*-of-*"


def load(folders: Folders, split: str) -> list[dict[str, Any]]:
    """Each output of each line that belongs to a split.

    Raises:
        FileNotFoundError: no folder has an output of `infer`.
        UserError: a line has no ids.
    """
    paths = [path for folder in folders for path in sorted(folder.glob(_FILES))]
    paths = [path for path in paths if not path.name.endswith(".COMPLETED")]
    if not paths:
        raise FileNotFoundError(
            f"No {_FILES} in {', '.join(map(str, folders))}. Needed is TASK_FILES=the "
            "INFER_OUTPUT_DIR of t5x_lite infer --gin.OUTPUT_IDS=True."
        )
    found = []
    for path in paths:
        for number, line in enumerate(json_lines.read_lines(path)):
            if (number % _HELD_OUT == _HELD_OUT - 1) == (split == "validation"):
                found += _outputs(line, f"{path}, line {number + 1}")
    return found


def _outputs(line: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    text, ids = line.get("inputs", {}).get(_INPUTS), line.get(_IDS)
    if not isinstance(text, str) or not ids:
        raise UserError(
            f"{where}: needed are inputs.{_INPUTS} and {_IDS}, which t5x_lite infer writes with "
            "--gin.OUTPUT_IDS=True."
        )
    several = ids if isinstance(ids[0], list) else [ids]
    return [{"inputs": text, "ids": each} for each in several]


def written_ids(example: Example) -> Example:
    """With the ids as targets; what was read is tokenized by then."""
    return {"inputs": example["inputs"], "targets": tf.cast(example["ids"], tf.int32)}


def _add(name: str, *, inputs_end: bool) -> None:
    """Inputs are as the model is asked, `PromptConfig.end_token`."""
    seqio.TaskRegistry.add(
        name,
        source=DownstreamSource(
            None, SPLITS, ExampleFiles({"inputs": TEXT, "ids": INTEGERS}, load)
        ),
        preprocessors=[
            seqio.preprocessors.tokenize,
            each(written_ids),
            seqio.CacheDatasetPlaceholder(),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={
            "inputs": seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=inputs_end),
            # An output has an end token only where the model wrote it.
            "targets": seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=False),
        },
    )


_add("own_samples", inputs_end=True)
_add("own_samples_without_end", inputs_end=False)
