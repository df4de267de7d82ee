"""Advice in words: what wins, why others lose, what would fit."""

from collections.abc import Sequence

from t5x_lite.display.terminal import aligned, shown_size
from t5x_lite.partitioning.rules import in_words
from t5x_lite.planning.choices import Between
from t5x_lite.planning.plan import Plan
from t5x_lite.planning.search import Candidate
from t5x_lite.planning.topologies import Topology

_HEADER = ("mesh", "between sub-layers", "parameters", "remat", "parts", "peak", "step", "")
_MOST_ROWS = 14
_BETWEEN = {Between.WHOLE: "whole", Between.LENGTH: "length split", Between.EMBED: "embed split"}


def table(
    candidates: Sequence[Candidate],
    winner: Candidate,
    plans: Sequence[tuple[Candidate, Plan]],
    topology: Topology,
) -> str:
    """The winner, those that were compiled, and the best of each mesh and split with its reason."""
    compiled = {id(candidate): plan for candidate, plan in plans}
    shown = [winner, *(candidate for candidate, _ in plans if candidate is not winner)]
    seen = {_kind(candidate) for candidate in shown}
    for each in candidates:
        if _kind(each) not in seen:
            seen.add(_kind(each))
            shown.append(each)
    rows = [
        (*_cells(each), _reason(each, winner, compiled.get(id(each))))
        for each in shown[:_MOST_ROWS]
    ]
    fitting = sum(each.fits for each in candidates)
    return (
        f"{len(candidates)} ways to compute a step on {topology} were estimated, {fitting} fit, "
        f"{len(plans)} were compiled; of each mesh the best\n\n{aligned([_HEADER, *rows])}"
    )


def nothing_fits(nearest: Candidate, topology: Topology, fixes: Sequence[str]) -> str:
    """The largest consumer of what lacks least, and what would fit."""
    name, size = max(nearest.estimate.parts.items(), key=lambda part: part[1])
    would = " or ".join(fixes) or "a smaller model"
    return (
        f"nothing fits {topology}, by estimate: {_in_words(nearest)} needs "
        f"{shown_size(nearest.estimate.peak)} of {shown_size(nearest.capacity)}, a tenth of it to "
        f"be kept free, and is the nearest. The largest consumer: {name}, {shown_size(size)}. "
        f"What would fit: {would}."
    )


def gin_file(winner: Candidate, topology: Topology) -> str:
    """The choice as a gin file, with where it comes from."""
    estimate = winner.estimate
    return (
        f"# For {topology}, as t5x_lite plan --advise estimates: {shown_size(estimate.peak)} of\n"
        f"# {shown_size(winner.capacity)}, a step in {estimate.step_seconds:.3g} s. Read it last.\n"
        f"{winner.choice.as_gin()}"
    )


def _kind(candidate: Candidate) -> tuple[object, ...]:
    choice = candidate.choice
    return choice.num_partitions, choice.between, choice.fully_sharded


def _cells(candidate: Candidate) -> tuple[str, ...]:
    choice, estimate = candidate.choice, candidate.estimate
    return (
        in_words(estimate.mesh),
        _BETWEEN[choice.between],
        "split" if choice.fully_sharded else "alike",
        choice.remat_as_gin.strip("'"),
        str(choice.num_microbatches),
        shown_size(estimate.peak),
        f"{estimate.step_seconds:.3g} s",
    )


def _reason(candidate: Candidate, winner: Candidate, plan: Plan | None) -> str:
    said = "" if plan is None else f"; compiled: {_compiled(plan)}"
    if candidate is winner:
        return f"wins{said}"
    if not candidate.fits:
        name, size = max(candidate.estimate.parts.items(), key=lambda part: part[1])
        lacks = shown_size(candidate.lack)
        return f"does not fit, by {lacks}: {name} {shown_size(size)}{said}"
    return f"{_slower(candidate, winner)}{said}"


def _slower(candidate: Candidate, winner: Candidate) -> str:
    """By how much, and what takes longer than with the winner."""
    mine, best = candidate.estimate, winner.estimate
    more = {of: seconds - best.seconds_of.get(of, 0.0) for of, seconds in mine.seconds_of.items()}
    more["computing"] = mine.compute_seconds - best.compute_seconds
    term = max(more, key=lambda of: more[of])
    share = mine.step_seconds / best.step_seconds - 1
    if share < 0:
        return f"{-share:.0%} faster by estimate only"
    what = term if term == "computing" else f"{term} travel"
    return f"{share:.0%} slower: {what} {more[term]:+.3g} s"


def _compiled(plan: Plan) -> str:
    if plan.step_seconds is None:
        return f"does not fit, needs {shown_size(plan.hbm_peak)}"
    fits = "" if plan.fits else "does not fit, "
    return f"{fits}{shown_size(plan.hbm_peak)}, {plan.step_seconds:.3g} s"


def _in_words(candidate: Candidate) -> str:
    choice = candidate.choice
    return (
        f"{in_words(candidate.estimate.mesh)}, remat {choice.remat_as_gin}, "
        f"{choice.num_microbatches} microbatches"
    )
