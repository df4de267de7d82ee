"""Plans as one page with charts."""

from collections.abc import Sequence

from t5x_lite.display import charts, page
from t5x_lite.planning import report
from t5x_lite.planning.plan import Plan


def render(plans: Sequence[Plan]) -> str:
    """A document of a job's programs on one topology."""
    topology = plans[0].measured.topology
    sections = [(report.title(plan), _section(plan)) for plan in plans]
    items = "".join(f"<li>{page.text(each)}</li>" for each in report.assumed(plans))
    return page.page(f"Plan for {topology}", [*sections, ("Assumed", f"<ul>{items}</ul>")])


def _section(plan: Plan) -> str:
    tables = [
        f"<h3>{page.text(heading)}</h3>{page.table(('', '', ''), rows)}"
        for heading, rows in report.sections(plan).items()
    ]
    traffic = page.table(report.TRAFFIC_HEADER, report.traffic_rows(plan), numbers_from=3)
    if traffic:
        tables.append(f"<h3>between chips</h3>{traffic}")
    return (
        f"<p>{page.text(report.verdict(plan))}</p>{page.facts(_facts(plan))}"
        f'<div class="charts">{_memory(plan)}{_time(plan)}{_traffic(plan)}</div>{"".join(tables)}'
    )


def _facts(plan: Plan) -> list[tuple[str, str]]:
    rows = [row for rows in report.sections(plan).values() for row in rows]
    wanted = ("peak", "needed", "the whole", "tokens a second", "days", "price")
    return [(name, value) for name, value, _ in rows if name in wanted]


def _memory(plan: Plan) -> str:
    parts = [(name, size / 1e9) for name, size in plan.parts.items()]
    whole = ("all", plan.hbm_peak / 1e9)
    limit = plan.hbm_capacity / 1e9
    return charts.bar_chart(
        "Memory when it is fullest, and what there is", [*parts, whole], limit=limit, unit="GB"
    )


def _time(plan: Plan) -> str:
    if plan.compiled is None:
        return ""
    times = plan.compiled.schedule
    parts = [
        ("computing", 1000 * times.compute_seconds),
        ("waiting for others", 1000 * times.exposed_collective_seconds),
        ("hidden communication", 1000 * times.hidden_collective_seconds),
    ]
    return charts.bar_chart("Time of a step, estimated", parts, unit="ms")


def _traffic(plan: Plan) -> str:
    sums: dict[str, float] = {}
    for row in plan.traffic:
        name = f"{row.kind}, {row.axes}" if row.axes else row.kind
        sums[name] = sums.get(name, 0) + row.bytes / 1e6
    if not sums:
        return ""
    return charts.bar_chart("Bytes between chips", list(sums.items()), unit="MB")
