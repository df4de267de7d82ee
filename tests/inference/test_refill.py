"""A place whose example has ended is taken by the next one; nothing is compiled twice."""

import dataclasses
import heapq

import jax
import pytest

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import SampleConfig
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import refill, reports
from t5x_lite.inference.ensemble import Ensemble

WIDTHS = (4, 12)
GREEDY = DecodingConfig(max_decode_length=12)
SAMPLE = dataclasses.replace(GREEDY, strategy=SampleConfig(temperature=2.0))


@pytest.fixture
def steps(monkeypatch):
    """Counts how often a model is asked for another token."""
    calls, original = [], Ensemble.language_model

    def counted(self, networks):
        model = original(self, networks)

        def advance(tokens, caches):
            jax.debug.callback(lambda: calls.append(1))
            return model.advance(tokens, caches)

        return dataclasses.replace(model, advance=advance)

    monkeypatch.setattr(Ensemble, "language_model", counted)
    return calls


def last_to_end(times, places):
    """When all are done, if each of these is begun as soon as one of the places is free."""
    busy = [0] * places
    for time in times:
        heapq.heapreplace(busy, busy[0] + time)
    return max(busy)


def test_no_example_waits_for_another_ones_end(engine_of, prompts, steps):
    """As many steps as list scheduling takes, longest prompts first, and the first token needs
    none: fewer than of batches that wait for their longest.
    """
    # Programs of its own, which count.
    engine = engine_of(num_partitions=1, devices=1).with_parameters(
        engine_of(num_partitions=1, devices=1).parameters
    )
    engine._compiled = {}
    found = engine.generate(prompts, SAMPLE, batch_size=4, widths=(12,))
    jax.effects_barrier()
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    times = [found[place].num_tokens - 1 for place in order]
    assert len(set(times)) > 3
    waiting = sum(max(times[start : start + 4]) for start in range(0, len(times), 4))
    assert len(steps) == last_to_end(times, 4) < waiting


@pytest.mark.parametrize("architecture", [Layout.ENCODER_DECODER, Layout.PREFIX_LM])
def test_each_width_is_compiled_once(architecture, engine_of, prompts):
    """On a mesh too, where a pool lies the same after each call; calls for other prompts use what
    there is.
    """
    engine = engine_of(architecture=architecture)
    decoding = dataclasses.replace(GREEDY, max_decode_length=3)
    whole = engine.generate(prompts, decoding, batch_size=4, widths=WIDTHS)
    parts = [
        engine.generate(prompts[start : start + 6], decoding, batch_size=4, widths=WIDTHS)
        for start in (0, 6)
    ]
    assert [each.ids() for part in parts for each in part] == [each.ids() for each in whole]
    pools = [made for made in engine._compiled.values() if isinstance(made, refill.Refill)]
    made = [pool for pool in pools if pool.places == 4]
    assert [pool.run._cache_size() for pool in made[-2:]] == [1, 1]


def test_progress_tells_how_fast_and_until_when(monkeypatch, capsys):
    """In one line, of what this run has done: 2 of the 8 examples were there before."""
    now = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr(reports.time, "monotonic", lambda: next(now))
    report = reports.progress_of("predict file", 8, done_before=2)
    report(3, 400)
    report(6, 600)
    first, last = capsys.readouterr().out.splitlines()
    assert first == "predict file 5/8  0.1 examples/s  20 tokens/s  ETA 0:20"
    assert last == "predict file 8/8  0.1 examples/s  15 tokens/s"
