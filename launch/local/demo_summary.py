"""Writes DEMO_DIR/summary.json from what `t5x_lite compare` wrote, and prints it as a table.

    python3 launch/local/demo_summary.py DEMO_DIR SECONDS

{"seconds": n, "tasks": {task: {"metric": its first one, "pretrained": x, "scratch": y,
                                "difference": [x - y, and both ends of its paired 95 % interval]}}}
"""

import json
import pathlib
import sys


def summary(lines: list[dict], seconds: int) -> dict:
    """`lines` are a comparison's; A is the arm without pre-training."""
    tasks: dict[str, dict] = {}
    for line in lines:
        found = {
            "metric": line["metric"],
            "pretrained": line["b"],
            "scratch": line["a"],
            "difference": line["difference"],
        }
        tasks.setdefault(line["task"], found)
    return {"seconds": seconds, "tasks": tasks}


def table(tasks: dict[str, dict]) -> list[str]:
    """Markdown."""
    lines = [
        "| task, held out | metric | pre-trained | without | difference |",
        "|---|---|---|---|---|",
    ]
    for name, task in tasks.items():
        mean, low, high = task["difference"]
        cells = [name, task["metric"], f"{task['pretrained']:.1f}", f"{task['scratch']:.1f}"]
        lines.append(f"| {' | '.join(cells)} | {mean:+.1f} [{low:+.1f}, {high:+.1f}] |")
    return lines


def main(directory: str, seconds: str) -> None:
    """Reads comparison.jsonl in a demo's directory."""
    folder = pathlib.Path(directory)
    lines = (folder / "comparison.jsonl").read_text().splitlines()
    found = summary([json.loads(line) for line in lines], int(seconds))
    (folder / "summary.json").write_text(json.dumps(found, indent=2) + "\n")
    print("\n".join(["", *table(found["tasks"])]))
    print(
        f"\nthe demo took {seconds} s; {folder / 'summary.json'}, {folder / 'finetune/report.html'}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
