"""Every data set in its published layout becomes the text of its task."""

import json

import pytest
import seqio

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, glue, squad, super_glue, translation  # noqa: F401

NLI = "hypothesis: It is wet. premise: It rains."
SENTENCES = "sentence1: It rains. sentence2: It is wet."
TEXTS = {
    ("glue_cola_v002", "train"): [
        ("cola sentence: It rains.", "acceptable"),
        ("cola sentence: Rains it.", "unacceptable"),
    ],
    ("glue_cola_v002", "test"): [("cola sentence: It rains.", "<unk>")],
    # A quote does not begin a quoted field.
    ("glue_sst2_v002", "train"): [
        ("sst2 sentence: a fine film ", "positive"),
        ('sst2 sentence: "dull', "negative"),
    ],
    ("glue_sst2_v002", "test"): [("sst2 sentence: a fine film", "<unk>")],
    ("glue_mrpc_v002", "train"): [
        ('mrpc sentence1: He said " it rains " . sentence2: It rains , he said .', "equivalent")
    ],
    ("glue_mrpc_v002", "validation"): [
        ("mrpc sentence1: It rains . sentence2: It snows .", "not_equivalent")
    ],
    ("glue_mrpc_v002", "test"): [
        ("mrpc sentence1: It rains . sentence2: It is raining .", "<unk>")
    ],
    # A question with a line break in it is left out, and so is the rest of it.
    ("glue_qqp_v002", "train"): [
        ("qqp question1: Does it rain? question2: Is it raining?", "duplicate"),
        ("qqp question1: Why? question2: When?", "not_duplicate"),
    ],
    ("glue_qqp_v002", "test"): [("qqp question1: Why? question2: When?", "<unk>")],
    ("glue_stsb_v002", "train"): [(f"stsb {SENTENCES}", "3.2")],
    ("glue_stsb_v002", "test"): [(f"stsb {SENTENCES}", "<unk>")],
    ("glue_mnli_v002", "train"): [(f"mnli {NLI}", "entailment")],
    ("glue_mnli_v002", "validation_mismatched"): [
        ("mnli hypothesis: I sleep. premise: It rains.", "neutral")
    ],
    ("glue_mnli_matched_v002", "validation"): [
        ("mnli hypothesis: It snows. premise: It rains.", "contradiction")
    ],
    ("glue_mnli_mismatched_v002", "test"): [("mnli hypothesis: Oh. premise: It rains.", "<unk>")],
    ("glue_ax_v002", "test"): [("mnli hypothesis: Wet. premise: It rains.", "<unk>")],
    ("glue_qnli_v002", "validation"): [
        ("qnli question: Is it wet? sentence: It rains.", "not_entailment")
    ],
    ("glue_rte_v002", "train"): [(f"rte {SENTENCES}", "entailment")],
    ("glue_wnli_v002_simple_eval", "validation"): [
        ("wsc: The fish ate the worm. *It* was tasty.", "The worm")
    ],
    ("super_glue_boolq_v102", "train"): [
        ("boolq passage: It rains. question: is it wet", "True"),
        ("boolq passage: It rains\u2028. question: does it snow", "False"),
    ],
    ("super_glue_boolq_v102", "test"): [("boolq passage: It rains. question: is it wet", "<unk>")],
    ("super_glue_cb_v102", "train"): [(f"cb {NLI}", "neutral")],
    ("super_glue_copa_v102", "train"): [
        (
            "copa choice1: I slept. choice2: It rained. premise: It is wet. question: cause",
            "choice2",
        )
    ],
    ("super_glue_multirc_v102", "train"): [
        (f"multirc question: Was it wet? answer: {answer} paragraph: It rained.", label)
        for answer, label in (("Yes", "True"), ("No", "False"), ("Perhaps", "<unk>"))
    ],
    ("super_glue_record_v102", "train"): [
        ("record query: @placeholder met her entities: Ann, Bob passage: Bob met Ann.", "Bob")
    ],
    ("super_glue_rte_v102", "train"): [(f"rte {NLI}", "entailment")],
    ("super_glue_wic_v102", "train"): [
        ("wic sentence1: It may rain. sentence2: A rain of blows. word: rain", "False")
    ],
    # The span is as in the text (`the fish.` is not), and only right nouns are trained on.
    ("super_glue_wsc_v102_simple_train", "train"): [
        ("wsc: The fish ate the worm, but *it* was bad.", "The fish")
    ],
    ("super_glue_axb_v102", "test"): [(f"rte {NLI}", "entailment")],
    ("super_glue_axg_v102", "test"): [(f"rte {NLI}", "entailment")],
    ("dpr_v001_simple", "train"): [
        ("wsc: Ann met Bob, because *he* asked.", "Bob"),
        ("wsc: Ann fell; *she* cried.", "Ann"),
    ],
    ("squad_v010_allanswers", "train"): [
        ("question: What did it do ? context: It rained . ", "rained")
    ],
    ("cnn_dailymail_v002", "train"): [
        ('summarize: It rained, "a lot".\nThen not.', "Rain fell ."),
        ("summarize: Snow.", "It fell ."),
    ],
    # Pairs with an empty side are left out.
    ("wmt_t2t_ende_v003", "train"): [
        ("translate English to German: It rains.", "Es regnet sehr."),
        ("translate English to German: It snows.", "Es schneit sehr."),
    ],
    ("wmt15_enfr_v003", "test"): [("translate English to French: It rains.", "Il pleut.")],
    # The folder's name says which column is which.
    ("wmt16_enro_v003", "train"): [("translate English to Romanian: It rains.", "Plou\u0103.")],
}


@pytest.mark.parametrize(("name", "split"), TEXTS)
def test_the_text_of_a_task(files, read_from, formatted_split, name, split):
    """One format for files and for TFDS; files of one kind are found wherever they are usual."""
    read_from(files)
    found = formatted_split(name, split)
    assert [(each["inputs"], each["targets"]) for each in found] == TEXTS[name, split]


def test_every_task_is_here():
    """Those for encoders read the same files (tests/tasks/test_glue.py, test_squad.py)."""
    names = {name for name, _ in TEXTS}
    assert names >= {
        name
        for name in seqio.TaskRegistry.names()
        if name.startswith(("glue_", "super_glue_", "dpr_", "squad_", "cnn_", "wmt"))
        and not name.endswith("_encoder")
    } - {"super_glue_wsc_v102_simple_eval"}


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), (True, False), ("1", "0")])
def test_multirc_copies_write_labels_in_several_ways(
    files, read_from, formatted_split, vocabulary, yes, no
):
    """The text "false" is no truth."""
    path = files / "SuperGLUE" / "MultiRC" / "train.jsonl"
    row = json.loads(path.read_text())
    for answer, label in zip(row["passage"]["questions"][0]["answers"], (yes, no), strict=False):
        answer["label"] = label
    path.write_text(json.dumps(row) + "\n")
    read_from(files)
    found = [each["targets"] for each in formatted_split("super_glue_multirc_v102", "train")]
    assert found[:2] == ["True", "False"]
