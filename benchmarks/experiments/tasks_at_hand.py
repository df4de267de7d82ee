"""The experiments' tasks, registered in this process with a vocabulary of the experiments."""

from benchmarks.experiments import runs
from benchmarks.experiments.lab import SENTENCEPIECE, Lab


def register(lab: Lab, vocabulary: str = SENTENCEPIECE) -> None:
    """What the commands do by themselves, for code that reads data directly."""
    from t5x_lite import config
    from t5x_lite.data.silence import silence_tensorflow
    from t5x_lite.text.default_vocabulary import set_default_vocabulary

    silence_tensorflow()
    set_default_vocabulary(lab.vocabulary(vocabulary))
    config.import_modules([config.named_by_flag(runs.MODULE, "--module_import")])
