"""How a process's prompts are demonstrated. No TensorFlow here.

As with the vocabulary, a task registers long before anyone says how many demonstrations its prompts
have: the command line says it (`--gin.FEW_SHOT_K`, `--few_shot_k`), t5x_lite.tasks.few_shot looks
here.
"""

from t5x_lite.data.config import FewShotConfig

_config = FewShotConfig()


def set_few_shot(config: FewShotConfig) -> None:
    """Holds for all prompts that this process makes from now on."""
    global _config
    _config = config


def few_shot() -> FewShotConfig:
    """What was given to `set_few_shot`; none means no demonstration."""
    return _config
