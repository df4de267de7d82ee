"""cache: one call with what the flags say, tasks registered before it and in each worker."""

import pickle

from t5x_lite import cli


def test_it_registers_tasks_and_caches_them(events, tmp_path):
    (tmp_path / "its_tasks.py").write_text("")
    words = ["one", "two", "--output_cache_dir=cached", "--module_import=its_tasks"]
    more = ["--split=train,validation", "--num_shards=8", "--num_workers=3", "--seed=5"]
    assert cli.main(["cache", *words, *more]) == 0
    names = [name for name, *_ in events]
    assert names.index("silence_tensorflow") < names.index("import_modules")
    name, args, settings = events[-1]
    assert (name, args) == ("cache_tasks", (["one", "two"], "cached"))
    register = settings.pop("register")
    assert settings == {
        "num_workers": 3,
        "splits": ["train", "validation"],
        "num_shards": 8,
        "seed": 5,
    }
    del events[:]
    pickle.loads(pickle.dumps(register))()  # as a worker gets it
    assert "import_modules" in [name for name, *_ in events]


def test_mistakes_are_said_before_anything_is_imported(events, error_of):
    assert "--output_cache_dir" in error_of(["cache", "one"])
    assert "no_such" in error_of(
        ["cache", "one", "--output_cache_dir=c", "--module_import=no_such"]
    )
    assert "from 1 to" in error_of(["cache", "one", "--output_cache_dir=c", "--num_workers=0"])
    no_model = ["cache", "one", "--output_cache_dir=c", "--vocabulary=none.model"]
    assert "there is no such file" in error_of(no_model)
    assert not [name for name, *_ in events if name == "cache_tasks"]
