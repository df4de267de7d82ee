"""A wrong folder, file, column or label says what was expected and what was found."""

import gzip

import pytest
import seqio
from etils import epath

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, glue, squad, super_glue, translation  # noqa: F401
from t5x_lite.tasks.original_files.cnn_dailymail import CNN_DAILYMAIL_FILES
from t5x_lite.tasks.original_files.examples import label_index

BOOLQ = b'{"question": %s, "passage": "t", "label": true, "idx": 0}'


@pytest.fixture
def error(read_from, tmp_path):
    """What is said of a task that reads from a folder with these files."""

    def read(name, split, files):
        for file, text in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        read_from(tmp_path)
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            dataset = seqio.TaskRegistry.get(name).source.get_dataset(split, shuffle=False)
            list(dataset.as_numpy_iterator())
        return str(caught.value)

    return read


def test_a_missing_file_is_named_with_its_columns(error, tmp_path):
    message = error("glue_qnli_v002", "validation", {"RTE/dev.tsv": "", "notes.txt": ""})
    assert f"No QNLI/dev.tsv in {tmp_path} or in a subfolder glue or glue_data" in message
    assert "Needed is a file with the columns question, sentence, label" in message
    assert "Found: RTE/, notes.txt" in message
    assert "TASK_FILES (--task_files)" in message


def test_what_is_in_the_folder_of_the_task_is_shown(error):
    message = error("super_glue_boolq_v102", "validation", {"superglue/BoolQ/train.jsonl": ""})
    assert "No BoolQ/val.jsonl or BoolQ/validation.jsonl" in message
    assert "Found: train.jsonl." in message


def test_texts_of_another_pair_of_languages_are_not_taken(error):
    files = {"tatoeba_en_ro/train.tsv": "Hi.\tSalut.\n", "train.en": "Hi.\n", "train.fr": "Oui.\n"}
    assert "No train.en and train.de or train.tsv" in error("wmt_t2t_ende_v003", "train", files)


@pytest.mark.parametrize(
    ("name", "split", "file", "text", "said"),
    [
        (
            "glue_rte_v002",
            "train",
            "RTE/train.tsv",
            "index,sentence1,sentence2,label\n",
            "no column sentence1, sentence2, label; needed are sentence1, sentence2, label, "
            "found are index,sentence1,sentence2,label",
        ),
        ("glue_rte_v002", "train", "RTE/train.tsv", "", "train.tsv is empty"),
        (
            "glue_rte_v002",
            "train",
            "RTE/train.tsv",
            "sentence1\tsentence2\tlabel\na\tb\tmaybe\n",
            "row 0: 'maybe' is no label; needed is one of entailment, not_entailment",
        ),
        (
            "glue_stsb_v002",
            "train",
            "STS-B/train.tsv",
            "sentence1\tsentence2\tscore\na\tb\thigh\n",
            "row 0: 'high' in column score is no number",
        ),
        (
            "glue_mrpc_v002",
            "validation",
            "MRPC/msr_paraphrase_train.txt",
            "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n",
            "needed is dev_ids.tsv beside it",
        ),
        (
            "super_glue_boolq_v102",
            "train",
            "BoolQ/train.jsonl",
            '{"question": "q", "text": "t", "idx": 0}\n',
            "line 1 has no 'passage'; found are question, text, idx",
        ),
        ("super_glue_boolq_v102", "train", "BoolQ/train.jsonl", "{]\n", "line 1 is not JSON"),
        ("super_glue_boolq_v102", "train", "BoolQ/train.jsonl", "[]\n", "line 1 is list"),
        (
            "dpr_v001_simple",
            "train",
            "train.c.txt",
            "Ann met Bob.\nshe\nAnn,Bob\nEve\n\n",
            "line 1: found ['Ann met Bob.', 'she', 'Ann,Bob', 'Eve']; needed are blocks of four",
        ),
        ("squad_v010_allanswers", "train", "train-v1.1.json", "{", "train-v1.1.json is not JSON"),
        (
            "squad_v010_allanswers",
            "train",
            "train-v1.1.json",
            '{"dat": []}',
            "data > paragraphs {context, qas} > {id, question, answers} is needed) has no 'data'; "
            "found are dat",
        ),
        (
            "cnn_dailymail_v002",
            "test",
            "cnn_dm/test.csv",
            "id,text\n1,Rain\n",
            "no column article, highlights; needed are the columns id, article, highlights, names "
            "in the first line, found are id, text",
        ),
        (
            "cnn_dailymail_v002",
            "test",
            "cnn_dm/test.csv",
            'id,article,highlights\n1,"Rain,\nall day.",Rain.\n2,Snow.\n',
            "the row that ends in line 4 has 2 columns, needed are 3",
        ),
        (
            "wmt16_enro_v003",
            "train",
            "train.tsv",
            "Hi. Salut.\n",
            "no second column: needed are an English and a ro text with a tab between",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what(error, name, split, file, text, said):
    message = error(name, split, {file: text})
    assert said in message
    assert file.rpartition("/")[2] in message


def test_translations_out_of_step_are_refused(error):
    files = {"train.en": "Hi.\nOh.\n", "train.de": "Hallo.\n"}
    message = error("wmt_t2t_ende_v003", "train", files)
    assert "train.en has 2 lines and" in message
    assert "train.de has 1; needed is line by line" in message


def test_several_texts_for_one_set_are_refused(error):
    """Which of them is meant is for the user to say."""
    files = {f"test_{year}.{code}": "Hi.\n" for year in (2016, 2017) for code in ("en", "de")}
    message = error("wmt_t2t_ende_v003", "test", files)
    assert "several texts for one set: test_2016.en, test_2017.en" in message


def test_mrpc_without_the_list_is_trained_on_whole(read_from, tmp_path, formatted_split, caplog):
    """And says so; there is nothing to hold out by."""
    row = "1\t11\t12\tIt rains .\tRain .\n"
    (tmp_path / "msr_paraphrase_train.txt").write_text(
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n" + row * 2
    )
    read_from(tmp_path)
    found = formatted_split("glue_mrpc_v002", "train")
    assert [each["targets"] for each in found] == ["equivalent"] * 2
    assert "no dev_ids.tsv beside it" in caplog.text


def test_articles_without_a_text_are_left_out_and_counted(
    read_from, tmp_path, formatted_split, caplog
):
    """As in TFDS; said once, however often the file is read."""
    path = tmp_path / "cnn_dm" / "validation.csv"
    path.parent.mkdir()
    path.write_text(
        'id,article,highlights\n1,Rain.,\n2,"",Dry.\n3,Snow., \n,Hail fell.,Hail.\n4,Fog.,"Fog"\n'
    )
    read_from(tmp_path)
    for _ in range(2):
        found = formatted_split("cnn_dailymail_v002", "validation")
        assert [each["targets"] for each in found] == ["Hail.", "Fog"]
    assert caplog.text.count("left out are 3 rows without an article or highlights") == 1
    assert CNN_DAILYMAIL_FILES.count((epath.Path(tmp_path),), "validation") == 2


@pytest.mark.parametrize(
    ("value", "labels", "index"),
    [
        (True, ("False", "True"), 1),
        ("false", ("False", "True"), 0),
        ("True", ("False", "True"), 1),
        (1, ("False", "True"), 1),
        ("0", ("False", "True"), 0),
        ("neutral", ("entailment", "contradiction", "neutral"), 2),
        (1, ("entailment", "contradiction", "neutral"), 1),
        (True, ("choice1", "choice2"), 1),
        (-1, ("choice1", "choice2"), -1),
        ("-1", ("choice1", "choice2"), -1),
        (None, ("choice1", "choice2"), -1),
    ],
)
def test_labels_come_as_names_truth_values_or_numbers(value, labels, index):
    """-1 and nothing mean that there is none."""
    assert label_index(value, labels, "here") == index


@pytest.mark.parametrize("value", [2, "2", "yes", -2, 0.5])
def test_what_is_no_label_is_refused(value):
    with pytest.raises(ValueError, match=r"^here: .* is no label; needed is one of False, True"):
        label_index(value, ("False", "True"), "here")


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("squad_v010_allanswers", "train-v1.1.json", b'{"data": 3}', "data='3'; needed is a list"),
        ("squad_v010_allanswers", "train-v1.1.json", b'{"data": ["a"]}', "has 'a' where"),
        (
            "squad_v010_allanswers",
            "train-v1.1.json",
            b'{"data": [{"paragraphs": [{"context": "It rains.", "qas": [[1]]}]}]}',
            "has '[1]' where 'id' should be",
        ),
        ("squad_v010_allanswers", "train-v1.1.json", b"\xff", "byte 0xff is no UTF-8"),
        ("super_glue_boolq_v102", "BoolQ/train.jsonl", b"[" * 10**5, "nested too deeply"),
        (
            "super_glue_boolq_v102",
            "BoolQ/train.jsonl",
            BOOLQ % b"3",
            "question='3'; needed is text",
        ),
        (
            "super_glue_boolq_v102",
            "BoolQ/train.jsonl",
            BOOLQ % b'"\\ud800"',
            "example 0 has question=",
        ),
        ("glue_rte_v002", "RTE/train.tsv", "a\tb".encode("utf-16"), "is text in UTF-16"),
        ("wmt16_enro_v003", "train.tsv", "a\tb".encode("utf-16"), "is text in UTF-16"),
        ("wmt16_enro_v003", "train.tsv.gz", b"a\tb\n", "is no whole file of gzip"),
        ("cnn_dailymail_v002", "cnn_dm/train.csv", b"PK\x03\x04", "is a zip archive"),
    ],
)
def test_a_file_of_another_kind_says_of_which(error, name, file, content, said):
    assert said in error(name, "train", {file: content})


def test_a_compressed_text_that_was_cut_off_is_refused(error):
    """TensorFlow reads it as a text that ends there."""
    whole = gzip.compress("".join(f"Hi {i}.\tSalut {i}.\n" for i in range(9000)).encode())
    message = error("wmt16_enro_v003", "train", {"train.tsv.gz": whole[: len(whole) // 2]})
    assert "train.tsv.gz is no whole file of gzip" in message
