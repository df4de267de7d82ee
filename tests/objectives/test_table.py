"""Every row of the table as a preprocessor: windows, round trips, refusals; INV-8 on real text."""

import hypothesis
import numpy as np
import pytest
import seqio
import tensorflow as tf
from hypothesis import strategies as st

from t5x_lite.objectives import lengths, rewrites, table

WINDOW = {"inputs": 64, "targets": 66}


def restore(example, first_sentinel):
    """The raw tokens: what is between two sentinels on one side is hidden by one on the other."""
    sides = []
    for name in ("inputs", "targets"):
        tokens = example[name].tolist()
        runs, current = [], []
        for token in tokens:
            if token >= first_sentinel:
                runs.append(current)
                current = []
            else:
                current.append(token)
        sides.append([run for run in [*runs, current] if run])
    first, second = sides
    if example["inputs"][0] >= first_sentinel:
        first, second = second, first
    raw = []
    for place, run in enumerate(first):
        raw += run + (second[place] if place < len(second) else [])
    return raw


@pytest.mark.parametrize(
    "name", ["iid_denoising", "iid_denoising_r50", "span_corruption", "span_corruption_r50_s2"]
)
def test_splicing_restores_the_documents(name, run, features):
    """Round trip: nothing lost, nothing invented, nothing reordered."""
    generator = np.random.default_rng(0)
    documents = [generator.integers(3, 1000, n) for n in generator.integers(2, 400, 40)]
    examples = run(
        table.preprocessor(name),
        documents,
        sequence_length=WINDOW,
        output_features=features,
    )
    raw = np.concatenate(documents)
    restored = [token for example in examples for token in restore(example, 1000)]
    assert len(raw) - len(restored) in (0, 1)  # a single token behind the last full segment
    np.testing.assert_array_equal(restored, raw[: len(restored)])


@pytest.mark.parametrize("name", ["span_corruption_s10", "span_corruption_r25_s5"])
def test_full_segments_of_spans_fill_the_window(name, run, features):
    """INV-8: one place is left for the end token that the task appends."""
    row = table.OBJECTIVES[name]
    needs = row.window(WINDOW, 0)
    examples = run(
        table.preprocessor(name),
        [range(3, 1000)] * 3,
        sequence_length=WINDOW,
        output_features=features,
    )
    assert len(examples) >= 2 * 997 // needs.tokens
    for example in examples[:-1]:
        assert 63 <= len(example["inputs"]) + 1 <= 64
        assert len(example["targets"]) + 1 == needs.targets


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    masks=st.lists(st.lists(st.booleans(), min_size=1, max_size=60), min_size=1, max_size=3)
)
def test_splicing_restores_any_mask(masks, rows, seed, vocabulary):
    """Shortest and longest sequences, all and no noise, noise at either end."""
    tokens = [[3 + 7 * i for i in range(len(mask))] for mask in masks]
    noise = tf.constant([value for mask in masks for value in mask], tf.bool)
    inputs = rewrites.noise_to_sentinels(rows(tokens), noise, vocabulary, seed(0)).to_list()
    targets = rewrites.kept_to_sentinels(rows(tokens), noise, vocabulary, seed(0)).to_list()
    for raw, *sides in zip(tokens, inputs, targets):
        example = dict(zip(("inputs", "targets"), map(np.array, sides)))
        assert restore(example, 1000) == raw


@pytest.mark.test_data
def test_a_thousand_real_lines_fill_the_window_and_restore_exactly(run, test_data_dir):
    """INV-8 on real text with the real T5 vocabulary, window 512: 568 raw tokens, 114 targets."""
    vocabulary = seqio.SentencePieceVocabulary(
        str(test_data_dir / "vocab" / "t5_sentencepiece.model"), extra_ids=100
    )
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    text = (test_data_dir / "text" / "wikitext-2" / "valid.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip()][:1000]
    assert len(lines) == 1000
    documents = [vocabulary.encode(line) for line in lines]
    examples = run(
        table.preprocessor("span_corruption"),
        documents,
        sequence_length={"inputs": 512, "targets": 114},
        output_features={"inputs": feature, "targets": feature},
    )
    # 128 documents are joined at a time, of which the last segment is shorter, and a single token
    # that is left over is dropped because there is nothing to hide.
    expected = []
    for start in range(0, len(documents), 128):
        joined = [token for document in documents[start : start + 128] for token in document]
        expected += [joined[i : i + 568] for i in range(0, len(joined), 568)]
    expected = [segment for segment in expected if len(segment) > 1]
    restored = [restore(example, 32_000) for example in examples]
    assert restored == expected
    full = [example for example, raw in zip(examples, restored) if len(raw) == 568]
    assert len(full) > 100
    assert {len(example["inputs"]) + 1 for example in full} == {512}
    assert {len(example["targets"]) + 1 for example in full} == {114}


@pytest.mark.parametrize(
    "name, inputs, targets",
    [
        ("iid_denoising", 500.5, 143.5),
        ("iid_denoising_r50", 384.5, 384.5),
    ],
)
def test_mean_lengths_of_independent_noise(name, inputs, targets, run, features):
    """INV-9: SPEC B.2.4's expectations for 511 raw tokens, within three standard errors."""
    examples = run(
        table.preprocessor(name),
        [[3] * 511] * 128,
        sequence_length={"inputs": 512, "targets": 512},
        output_features=features,
    )
    assert len(examples) == 128
    for side, expected in (("inputs", inputs), ("targets", targets)):
        found = np.array([len(example[side]) + 1 for example in examples])
        assert abs(found.mean() - expected) < 3 * found.std() / np.sqrt(len(found)) + 0.05


def test_a_prefix_and_the_rest_are_the_text(run, features):
    """Documents are not joined: a prefix of one tells nothing of another."""
    documents = [range(3, 33), range(100, 145), [7]]
    found = run(
        table.preprocessor("prefix_lm"),
        documents,
        sequence_length={"inputs": 21, "targets": 21},
        output_features=features,
    )
    joined = [np.concatenate([e["inputs"], e["targets"]]).tolist() for e in found]
    # 20 tokens and an end token fit into 21; a single token has no proper prefix.
    expected = [d[i : i + 20] for d in documents[:2] for i in range(0, len(d), 20)]
    assert joined == [list(e) for e in expected]
    assert all(len(e["inputs"]) and len(e["targets"]) for e in found)


def test_a_language_model_reads_everything_in_full_windows(run, features):
    """Documents are joined and end with an end token; only the last window may be short."""
    documents = [range(3, 30), range(50, 61), range(70, 77)]
    found = run(
        table.preprocessor("full_lm"),
        documents,
        sequence_length={"targets": 10},
        output_features=features,
    )
    assert [len(e["targets"]) for e in found] == [10, 10, 10, 10, 8]
    expected = [token for document in documents for token in [*document, 1]]
    assert np.concatenate([e["targets"] for e in found]).tolist() == expected
    assert all(set(e) == {"targets"} for e in found)


def test_documents_by_themselves_are_cut_into_rows_in_order(run, features):
    """Each begins a row and ends with an end token; none is joined to another."""
    documents = [range(3, 30), range(50, 61), range(70, 79)]
    found = run(
        table.preprocessor("document_lm"),
        documents,
        sequence_length={"targets": 10},
        output_features=features,
    )
    ended = [[*document, 1] for document in documents]
    expected = [each[start : start + 10] for each in ended for start in range(0, len(each), 10)]
    assert [each["targets"].tolist() for each in found] == expected


def test_lm_adaptation_cuts_joined_documents_anywhere(run, features):
    """All tokens of a window on one of the two sides; end tokens are where documents end."""
    documents = [range(3, 30), range(50, 61), range(70, 80)]
    found = run(
        table.preprocessor("lm_adaptation"),
        documents,
        sequence_length={"inputs": 10, "targets": 10},
        output_features=features,
    )
    joined = [np.concatenate([e["inputs"], e["targets"]]).tolist() for e in found]
    expected = [token for document in documents for token in [*document, 1]]
    # The 51st token is alone in its window.
    assert joined == [expected[i : i + 10] for i in range(0, 50, 10)]


@pytest.mark.parametrize("name", ["ul2_r_s3", "ul2_s", "ul2_x_r50_s64"])
def test_ul2_tells_the_mode_and_still_fills_the_window(name, run, rows):
    """Inputs start with the mode; the helper has left room for its pieces."""

    class Modes(seqio.PassThroughVocabulary):
        """Three ids a mode, as SentencePiece has about."""

        @property
        def extra_ids(self):
            return 100

        def _encode(self, s):
            return [900 + "RSX".index({"[NLU]": "R", "[S2S]": "S", "[NLG]": "X"}[s]), 5, 6]

    feature = seqio.Feature(vocabulary=Modes(size=1000, eos_id=1), add_eos=True)
    found = run(
        table.preprocessor(name),
        [range(10, 890)] * 4,
        sequence_length={"inputs": 128, "targets": 128},
        output_features={"inputs": feature, "targets": feature},
    )
    mode = 900 + "rsx".index(name.split("_")[1])
    assert all(e["inputs"][:3].tolist() == [mode, 5, 6] for e in found)
    full = found[:-1]
    assert all(len(e["inputs"]) + 1 <= 128 and len(e["targets"]) + 1 <= 128 for e in full)
    if name == "ul2_s":
        assert {len(e["inputs"]) + len(e["targets"]) for e in full} == {127}
    else:
        assert all(len(e["inputs"]) + 1 >= 127 for e in full)


@pytest.mark.parametrize("density", table.RATES.values())
@pytest.mark.parametrize("mean", table.SPANS.values())
def test_the_grid_of_spans_has_the_published_windows(density, mean):
    """SPEC B.2.4, as the rows of the table have it."""
    rate = {v: k for k, v in table.RATES.items()}[density]
    span = {v: k for k, v in table.SPANS.items()}[mean]
    name = f"span_corruption_{rate}_{span}"
    if rate == "r15":
        name = "span_corruption" if span == "s3" else f"span_corruption_{span}"
    needs = table.OBJECTIVES[name].window({"inputs": 512, "targets": 512}, 0)
    expected = lengths.span_corruption_lengths(512, noise_density=density, mean_span_length=mean)
    assert (needs.tokens, needs.targets) == expected


def test_the_seven_denoisers_are_those_of_the_paper(vocabulary):
    """Tay et al. (2022), table 1; windows of 512/512 are the paper's."""
    needs = {n: row.window({"inputs": 512, "targets": 512}, 0) for n, row in table.UL2.items()}
    for (density, mean), name in {
        (0.15, 3.0): "ul2_r_s3",
        (0.15, 8.0): "ul2_r_s8",
        (0.5, 3.0): "ul2_x_r50_s3",
        (0.5, 8.0): "ul2_x_r50_s8",
        (0.15, 64.0): "ul2_x_r15_s64",
        (0.5, 64.0): "ul2_x_r50_s64",
    }.items():
        expected = lengths.span_corruption_lengths(
            512, noise_density=density, mean_span_length=mean
        )
        assert (needs[name].tokens, needs[name].targets) == expected
    assert len(table.UL2) == 7


def test_noise_is_a_function_of_the_seed(run, features):
    """The same seed corrupts the same places; another seed others."""
    arguments = dict(sequence_length={"inputs": 64, "targets": 14}, output_features=features)
    documents = [range(3, 143)]
    corrupt = table.preprocessor("span_corruption")
    first, again, other = (run(corrupt, documents, seed=n, **arguments) for n in (1, 1, 2))
    for a, b in zip(first, again):
        np.testing.assert_array_equal(a["inputs"], b["inputs"])
    assert any(list(a["inputs"]) != list(b["inputs"]) for a, b in zip(first, other))


@pytest.mark.parametrize(
    "name, window, message",
    [
        ("span_corruption", None, "length is None; .*TASK_FEATURE_LENGTHS"),
        (
            "span_corruption",
            {"inputs": 64, "targets": 13},
            "targets of 14 tokens.*is 13.*'targets': 14",
        ),
        (
            "span_corruption",
            {"inputs": 2048, "targets": 512},
            "need 114 sentinels, the vocabulary has 100",
        ),
        ("span_corruption", {"inputs": 2, "targets": 9}, "needed are at least 3"),
        ("iid_denoising", {"inputs": 512, "targets": 114}, "targets of 14[34] tokens"),
        (
            "iid_denoising",
            {"inputs": 1024, "targets": 1024},
            "need 130 sentinels, the vocabulary has 100",
        ),
        ("iid_drop_tokens", {"inputs": 512, "targets": 64}, "targets of 78 tokens"),
        ("bert_style", {"inputs": 64, "targets": 63}, "targets of 64 tokens.*is 63"),
        ("deshuffling", {"inputs": 64, "targets": 14}, "targets of 64 tokens"),
        ("prefix_lm", {"inputs": 64, "targets": 14}, "targets of 63 tokens"),
        ("full_lm", None, "targets, but its length is None.*TASK_FEATURE_LENGTHS"),
        ("full_lm", {"targets": 2}, "needed are at least 3"),
        ("lm_adaptation", {"inputs": 64}, "window of targets, but its length is None"),
    ],
)
def test_lengths_that_cannot_work_are_refused_with_those_that_can(name, window, message, features):
    """Trimmed targets would teach a model to stop early, silently."""
    dataset = tf.data.Dataset.from_tensors({"targets": tf.range(3, 100)})
    with pytest.raises(ValueError, match=message):
        table.preprocessor(name)(dataset, window, features)


def test_an_unknown_objective_names_the_nearest():
    """And ul2, which is a mixture, its parts."""
    with pytest.raises(ValueError, match="'span_corruptoin'; did you mean span_corruption"):
        table.preprocessor("span_corruptoin")
    with pytest.raises(ValueError, match="mixture of the objectives ul2_r_s3, "):
        table.preprocessor("ul2")
