"""A prompt is shown by its parts: demonstrations, item, options, and what did not fit."""

import io
import re

import pytest
import seqio
from rich.console import Console

from t5x_lite.data.config import FewShotConfig
from t5x_lite.data.few_shot import few_shot, set_few_shot
from t5x_lite.inspection.gather import gather
from t5x_lite.inspection.html_page import html_page
from t5x_lite.inspection.terminal import print_findings
from t5x_lite.tasks.few_shot import FORMS, BuildPrompt, PromptSource
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.prompt_templates import Template

VOCABULARY = seqio.ByteVocabulary(extra_ids=10)
ROW = Template(
    "shown",
    "shown_base",
    "{word}:",
    ("odd", "even"),
    prepare=lambda fields: fields | {"label": int(fields["label"])},
    separator=" / ",
)
WORDS = ["one", "two", "three", "four", "five", "six"]


@pytest.fixture(scope="module")
def findings():
    """Of prompts with three demonstrations, of which 30 letters hold two."""

    def load(split):
        return [{"word": word, "label": str(i % 2)} for i, word in enumerate(WORDS)]

    before = few_shot()
    seqio.TaskRegistry.add(
        "shown_base", source=InMemorySource(load, ("train", "test")), output_features={}
    )
    source = PromptSource(ROW, FORMS[1])
    seqio.TaskRegistry.add(
        "shown_prompts",
        source=source,
        preprocessors=[
            BuildPrompt(source, ROW, FORMS[1]),
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={
            "inputs": seqio.Feature(VOCABULARY, add_eos=True),
            "targets": seqio.Feature(VOCABULARY, add_eos=False),
        },
    )
    set_few_shot(FewShotConfig(k=3))
    yield gather("shown_prompts", split="test", lengths={"inputs": 34, "targets": 8})
    set_few_shot(before)
    for name in ("shown_base", "shown_prompts"):
        seqio.TaskRegistry.remove(name)


def printed(findings, color=None):
    output = io.StringIO()
    console = Console(file=output, width=140, force_terminal=bool(color), color_system=color)
    print_findings(findings, console)
    return output.getvalue()


def test_the_parts_of_a_prompt_have_colours_of_their_own(findings):
    """Demonstrations one, the item another, the right option a third."""
    shown = printed(findings, color="standard")
    example = findings.tasks[0].examples[0]
    first, *_ = example.prompt.shown
    assert re.search(rf"\x1b\[36m{re.escape(first)} / ", shown)
    assert re.search(r"\x1b\[1mone:", shown)
    assert re.search(r"\x1b\[1;32m\* odd", shown) and "- even" in shown


def test_what_did_not_fit_is_said(findings):
    """And nothing else of the parts is shown twice."""
    shown = printed(findings)
    kept = len(findings.tasks[0].examples[0].prompt.shown)
    assert 0 < kept < 3
    assert f"{kept} of 3 demonstrations fit, {3 - kept} are left out" in shown
    assert "prompt/" not in shown and "one: </s>" in shown


def test_the_page_shows_the_same(findings):
    page = html_page(findings)
    assert '<span class="demonstration">' in page and '<span class="item">one:</span>' in page
    assert '<span class="right">* odd</span>' in page
    assert "demonstrations fit" in page
