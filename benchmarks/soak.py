"""A training run that is killed, damaged and starved of disk, against one that is left alone.

    python benchmarks/soak.py --minutes=30 --stops=100 --output=docs

Child processes run `t5x_lite train` on 8 simulated devices (mini model; span corruption,
translation and classification, mixed, packed, shuffled, with dropout). At random times one is
killed with -9, often in the middle of a save, or asked to stop, or its newest checkpoint is
truncated, flipped or robbed of a file, or its disk is full for a while; then the same command is
started again. Then it is asked to stop so many times, by each of the signals that it hears, half of
them before its first step, and how long that takes is measured. Afterwards the same steps are
trained without any of this, and the two are compared bit for bit: the loss of every
step and every leaf of the last checkpoint. The disk is a small tmpfs where that can be mounted
(root on Linux); elsewhere the full disk is left out, and the result says so.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import numpy as np
from etils import epath

from t5x_lite import json_lines
from t5x_lite.checkpoints import folders

VOLUME_MB = 260
STOPPING = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT]
MODEL = [
    "--gin_file=models/t5_1_0/mini.gin",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=soak_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=soak",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 32}",
    "--gin.BATCH_SIZE=16",
    "--gin.NUM_PARTITIONS=2",
    "--gin.NUM_DATA_SHARDS=4",
    "--gin.DROPOUT_RATE=0.1",
    "--gin.LEARNING_RATE_FACTORS=constant",
    "--gin.LEARNING_RATE=0.01",
    "--gin.train_eval/DatasetConfig.mixture_or_task_name='emoji_en_de'",
    "--gin.EVAL_STEPS=4",
    "--gin.EVAL_PERIOD=10",
    "--gin.LOG_PERIOD=1",
    "--gin.CHECKPOINT_PERIOD=10",
    "--cpu_devices=8",
]


@dataclasses.dataclass
class Run:
    """One model directory, the processes that trained in it and what became of them."""

    model_dir: pathlib.Path
    vocabulary: pathlib.Path
    events: list = dataclasses.field(default_factory=list)
    stops: list = dataclasses.field(default_factory=list)
    memory: list = dataclasses.field(default_factory=list)

    def start(self, steps: int) -> subprocess.Popen:
        """The same command each time."""
        self.model_dir.mkdir(parents=True, exist_ok=True)
        # Beside the model directory: a full disk must not silence the log.
        log = self.vocabulary.with_name(f"{self.model_dir.name}.log").open("a")
        words = [
            *("-m", "t5x_lite", "train", *MODEL, f"--gin.VOCABULARY={self.vocabulary}"),
            *(f"--gin.MODEL_DIR={self.model_dir}", f"--gin.TRAIN_STEPS={steps}"),
        ]
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=pathlib.Path(__file__).parent,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def start_and_train(self) -> tuple[subprocess.Popen, float]:
        """A process that has made a step of its own, and how long that took."""
        began, first = time.monotonic(), self.step()
        process = self.start(steps=10**6)
        self.watch(process)
        while process.poll() is None and self.step() <= first:
            time.sleep(0.1)
        return process, time.monotonic() - began

    def step(self) -> int:
        """The newest step in the log of scalars."""
        lines = self.scalars()
        return lines[-1]["step"] if lines else 0

    def scalars(self) -> list[dict]:
        """Lines of metrics.jsonl; the last may be half written."""
        path = self.model_dir / "train" / "metrics.jsonl"
        return json_lines.read_lines(path) if path.exists() else []

    def checkpoints(self) -> list[pathlib.Path]:
        """Oldest first."""
        folder = epath.Path(self.model_dir)
        return [pathlib.Path(folders.folder_of(folder, step)) for step in folders.steps(folder)]

    def watch(self, process: subprocess.Popen) -> None:
        """Resident memory in MB, once a second, until the process ends."""

        def loop() -> None:
            began = time.monotonic()
            while process.poll() is None:
                with contextlib.suppress(OSError, IndexError):
                    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                    resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
                    self.memory.append((process.pid, time.monotonic() - began, resident))
                time.sleep(1)

        threading.Thread(target=loop, daemon=True).start()


def damage(checkpoint: pathlib.Path, how: str, dice: random.Random) -> str:
    """Spoils the largest files of a checkpoint; which one, in words."""
    files = sorted(
        (path for path in (checkpoint / "state").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    victim = dice.choice(files[-4:])
    if how == "truncated":
        with victim.open("rb+") as file:
            file.truncate(victim.stat().st_size // 2)
    elif how == "flipped":
        with victim.open("rb+") as file:
            file.seek(victim.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0xFF]))
    else:
        victim.unlink()
    return f"{checkpoint.name}/{victim.relative_to(checkpoint)} {how}"


def fill_disk(folder: pathlib.Path, seconds: float) -> None:
    """No byte is free for a while."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    time.sleep(seconds)
    ballast.unlink()


def torment(run: Run, minutes: float, dice: random.Random, *, has_volume: bool) -> None:
    """Starts the job again and again until the time is over."""
    began = time.monotonic()

    def note(kind: str, detail: str = "") -> None:
        event = {"at": round(time.monotonic() - began), "step": run.step(), "kind": kind}
        run.events.append(event | ({"detail": detail} if detail else {}))
        print(json.dumps(run.events[-1]), flush=True)

    kinds = ["kill"] * 5 + ["terminate"] * 2 + ["damage"] * 3 + ["full disk"] * (2 * has_volume)
    while time.monotonic() - began < 60 * minutes:
        process, _ = run.start_and_train()
        kind = dice.choice(kinds)
        time.sleep(dice.uniform(1, 40))
        if kind == "full disk":
            fill_disk(run.model_dir.parent, dice.uniform(10, 20))
            note("full disk")
            time.sleep(dice.uniform(5, 20))
        if kind == "terminate":
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=300) == 75, f"SIGTERM gave {process.returncode}"
            note("terminate")
            continue
        if process.poll() is not None:
            raise SystemExit(
                f"the job ended by itself with {process.returncode}: see {run.model_dir}"
            )
        process.kill()
        process.wait()
        unfinished = [p.name for p in run.model_dir.iterdir() if "tmp" in p.name]
        note("kill", f"during a save: {unfinished[0]}" if unfinished else "")
        kept = run.checkpoints()
        # Two stay whole at least: the job keeps three.
        if kind == "damage" and len(kept) > 1:
            how = dice.choice(["truncated", "flipped", "removed"])
            note("damage", damage(kept[-1], how, dice))
    note("end")


def stop_often(run: Run, count: int, dice: random.Random) -> None:
    """Asks the job to stop at random moments, half of them while it starts, and measures how long
    it takes; the last one comes behind a step.
    """
    start_up = 10.0
    for number in range(count):
        before = run.step()
        if number % 2 == 0 and number < count - 1:
            process = run.start(steps=10**6)
            # Python itself and the first imports hear nothing.
            time.sleep(dice.uniform(2.0, start_up))
        else:
            process, start_up = run.start_and_train()
            time.sleep(dice.uniform(0.0, 10.0))
        kind = STOPPING[number // 2 % len(STOPPING)]
        asked = time.monotonic()
        process.send_signal(kind)
        status = process.wait(timeout=300)
        stop = {
            "signal": kind.name,
            "seconds": round(time.monotonic() - asked, 2),
            "steps": run.step() - before,
        }
        run.stops.append(stop)
        print(json.dumps(stop), flush=True)
        assert status == 75, f"{kind.name} gave {status}"
        assert not run.step() or folders.step_of(run.checkpoints()[-1]) == run.step()


def durations(stops: list[dict]) -> dict:
    """How long stops took, with and without something to save."""
    found = {}
    for name, wanted in (("saved", True), ("nothing to save", False)):
        seconds = sorted(stop["seconds"] for stop in stops if (stop["steps"] > 0) == wanted)
        if seconds:
            median = seconds[len(seconds) // 2]
            found[name] = {"stops": len(seconds), "median_s": median, "longest_s": seconds[-1]}
    return found


def leave_alone(run: Run, steps: int) -> None:
    """The same steps in one go."""
    process = run.start(steps)
    run.watch(process)
    assert process.wait() == 0, f"the undisturbed run gave {process.returncode}"


def compare(soaked: Run, alone: Run) -> dict:
    """What the two runs have in common."""
    import jax

    from t5x_lite.checkpoints import restoring

    losses = [
        {line["step"]: line["loss_per_token"] for line in run.scalars()} for run in (soaked, alone)
    ]
    steps = sorted(losses[1])
    differing = [step for step in steps if losses[0].get(step) != losses[1][step]]

    def read(checkpoint: pathlib.Path) -> dict:
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            restoring.metadata(checkpoint),
        )
        return jax.device_get(restoring.restore(checkpoint, shapes))

    states = [read(run.checkpoints()[-1]) for run in (soaked, alone)]
    leaves = [dict(flat(state)) for state in states]
    assert leaves[0].keys() == leaves[1].keys()
    unequal = [
        name for name, leaf in leaves[0].items() if not np.array_equal(leaf, leaves[1][name])
    ]
    return {
        "steps": steps[-1],
        "steps_with_another_loss": len(differing),
        "leaves": len(leaves[0]),
        "leaves_that_differ": len(unequal),
    }


def flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(path, array) of each leaf."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def memory_of(run: Run) -> dict:
    """Resident MB of the process that lived longest: after a tenth, half and all of its life."""
    lives = collections.defaultdict(list)
    for pid, _, resident in run.memory:
        lives[pid].append(resident)
    longest = max(lives.values(), key=len)
    # The first minute compiles.
    settled = longest[min(60, len(longest) // 3) :]
    return {
        "seconds": len(longest),
        "mb_after_start": round(settled[len(settled) // 10]),
        "mb_half": round(settled[len(settled) // 2]),
        "mb_end": round(settled[-1]),
    }


def plot(soaked: Run, alone: Run, path: pathlib.Path) -> None:
    """Both loss curves with the events, and the memory of the undisturbed process."""
    from matplotlib.figure import Figure

    from t5x_lite.display import charts

    with charts.style():
        figure = Figure(figsize=(11, 4), layout="constrained")
        axes, memory = figure.subplots(1, 2)
        for run, label, width in ((alone, "left alone", 3.0), (soaked, "soaked", 0.8)):
            lines = run.scalars()
            losses = [line["loss_per_token"] for line in lines]
            axes.plot([line["step"] for line in lines], losses, label=label, linewidth=width)
        for index, kind in enumerate(("kill", "terminate", "damage", "full disk", "end"), start=2):
            steps = [event["step"] for event in soaked.events if event["kind"] == kind]
            if steps:
                label = f"{kind} ({len(steps)})"
                axes.plot(steps, [0] * len(steps), "|", color=f"C{index}", ms=14, label=label)
        axes.set(xlabel="step", ylabel="loss, nats per target token")
        axes.legend()
        seconds = [second for _, second, _ in alone.memory]
        memory.plot(seconds, [resident for _, _, resident in alone.memory])
        memory.set(xlabel="seconds, left alone", ylabel="resident memory, MB", ylim=(0, None))
        path.write_bytes(charts.png(figure))


@contextlib.contextmanager
def volume(folder: pathlib.Path) -> Iterator[bool]:
    """A small disk of its own where one can be mounted; whether it could."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def main() -> None:
    """Soaks, repeats without, compares, writes soak.json and soak.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="soak_"))
    vocabulary = work / "soak.model"
    words = ["vocab", "--task=docstrings_span_corruption", "--task=emoji_en_de"]
    words += ["--module_import=t5x_lite.tasks.demo", "--size=3996", "--max_lines=20000"]
    subprocess.run([sys.executable, "-m", "t5x_lite", *words, f"--output={vocabulary}"], check=True)
    with volume(work / "disk") as has_volume:
        soaked = Run(work / "disk" / "soaked", vocabulary)
        dice = random.Random(arguments.seed)
        torment(soaked, arguments.minutes, dice, has_volume=has_volume)
        stop_often(soaked, max(1, arguments.stops), dice)
        alone = Run(work / "alone", vocabulary)
        leave_alone(alone, soaked.step())
        counts = collections.Counter(event["kind"] for event in soaked.events)
        saves = sum("during a save" in event.get("detail", "") for event in soaked.events)
        result = {
            "minutes": arguments.minutes,
            "events": dict(counts),
            "stops": durations(soaked.stops),
            "kills_during_a_save": saves,
            "disk_of_its_own": has_volume,
            "compared": compare(soaked, alone),
            "memory_soaked": memory_of(soaked),
            "memory_alone": memory_of(alone),
        }
        plot(soaked, alone, arguments.output / "soak.png")
        (arguments.output / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if result["compared"]["steps_with_another_loss"] or result["compared"]["leaves_that_differ"]:
        raise SystemExit("the two runs differ")


if __name__ == "__main__":
    main()
