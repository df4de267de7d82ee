"""inspect and vocab: one call each, with what the flags say."""

from t5x_lite import cli


def test_inspect_takes_lengths_in_two_notations(events):
    for lengths in ("inputs=64,targets=32", "{'inputs': 64, 'targets': 32}"):
        assert cli.main(["inspect", "my_task", f"--lengths={lengths}", "--split=test"]) == 0
        name, args, settings = events[-1]
        assert (name, args) == ("inspect_task", ("my_task",))
        assert settings == {
            "split": "test",
            "num_examples": None,
            "max_sample": 2000,
            "task_feature_lengths": {"inputs": 64, "targets": 32},
            "seed": 0,
            "ids": False,
            "html": None,
        }


def test_a_vocabulary_needs_no_tensorflow_for_text_files(events):
    assert cli.main(["vocab", "--output=v.model", "--file=*.txt", "--size=100"]) == 0
    assert cli.main(["vocab", "--kind=bpe", "--output=v", "--file=*.txt", "--size=300"]) == 0
    assert [name for name, *_ in events] == [
        *["field_texts", "train_sentencepiece"],
        *["field_texts", "train_byte_pair"],
    ]


def test_a_vocabulary_of_tasks_imports_what_registers_them(events):
    words = ["--task=one", "--task=two", "--file=x.txt", "--split=validation", "--seed=3"]
    assert cli.main(["vocab", "--output=v.model", *words]) == 0
    names = [name for name, *_ in events]
    assert names.index("import_modules") < names.index("task_texts")
    _, (sources, output), settings = events[-1]
    assert list(sources) == ["x.txt", "one", "two"]
    assert output == "v.model"
    assert settings == {
        "vocab_size": 32_000,
        "max_lines_per_source": 200_000,
        "seed": 3,
        "weights": (),
        "byte_fallback": False,
    }
