"""Python programs and commands in a process of their own, as a shell starts them, without the
seconds that TensorFlow, SeqIO and JAX take to import: a fork server has imported them once.
"""

import multiprocessing
import os
import pathlib
import runpy
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence

import jax

# Words that only a shell reads.
_SHELL = set("|&;<>()$`*?~#\n")
# These start processes of their own.
_COLD = ("cache", "corpus")


def is_warm(command: str) -> bool:
    """Whether a shell would do no more than start it."""
    quoted_out = "".join(part for index, part in enumerate(command.split('"')) if index % 2 == 0)
    words = shlex.split(command)
    return not _SHELL & set(quoted_out) and (
        (words[0] == "t5x_lite" and words[1] not in _COLD)
        or (words[0] == "python" and len(words) == 2)
    )


def run(
    command: str, folder: pathlib.Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess:
    """What it printed and how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tensorflow", "seqio", "orbax.checkpoint", "t5x_lite.training.loop", "t5x_lite.cli"]
    )
    words = shlex.split(command)
    printed = [folder / ".stdout", folder / ".stderr"]
    child = context.Process(target=_child, args=(words, str(folder), dict(environment), printed))
    child.start()
    child.join()
    stdout, stderr = (path.read_text() for path in printed)
    for path in printed:
        path.unlink()
    return subprocess.CompletedProcess(command, child.exitcode, stdout, stderr)


def _child(
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    printed: Sequence[pathlib.Path],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Read when JAX was imported, which was in a process of tests, with as many devices as they see.
    jax.config.update("jax_num_cpu_devices", int(environment.get("JAX_NUM_CPU_DEVICES", -1)))
    for descriptor, path in enumerate(printed, start=1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    program, *arguments = words
    if program == "python":
        sys.argv = arguments
        sys.path.insert(0, folder)
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        from t5x_lite import cli

        sys.argv = words
        sys.exit(cli.main(arguments))
