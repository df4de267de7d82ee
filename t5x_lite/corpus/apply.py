"""The rules of a corpus applied to one page, in three steps: to a page, to its lines, and to what
is left of it once duplicates are known.
"""

from collections.abc import Set

from t5x_lite.corpus import duplicates, urls
from t5x_lite.corpus import plan as plans
from t5x_lite.corpus.config import Dedup
from t5x_lite.corpus.counts import Counts, Effect
from t5x_lite.corpus.effects import of_cleaning
from t5x_lite.corpus.language import detector
from t5x_lite.corpus.page import Page, num_bytes
from t5x_lite.corpus.plan import Plan
from t5x_lite.corpus.rules import MIN_SENTENCES, is_too_long


def page_rule(plan: Plan, page: Page) -> str:
    """The rule that drops a page before its lines are looked at."""
    names, config = plan.names, plan.config
    if "no_content" in names and not page.text:
        return "no_content"
    if "page_length" in names and is_too_long(page.text):
        return "page_length"
    if "domains" in names and not urls.is_in_domains(page.url, plans.domains(str(config.domains))):
        return "domains"
    if "wikipedia" in names and urls.is_wikipedia(page.url):
        return "wikipedia"
    if "url_list" in names and not plans.url_list(str(config.urls)).has(page.url):
        return "url_list"
    return ""


def lines_left(plan: Plan, text: str) -> tuple[str | None, list[Effect]]:
    """What the rules for lines leave of a page."""
    if not plans.line_rules(plan.config).has_rules:
        return text, []
    cleaned = plans.line_rules(plan.config).clean(text)
    return cleaned.text, of_cleaning(text, cleaned)


def text_left(
    plan: Plan, text: str, gone: Set[int], stay: Set[int], counts: Counts
) -> tuple[str | None, list[Effect]]:
    """What is left of a page, and the effects of the rules for it."""
    effects = []
    if gone:
        left = without_duplicates(plan, text, gone, stay)
        effects.append(_effect("duplicates", text, left))
        if not left:
            return None, effects
        text = left
    if "sentences_again" in plan.names:
        if plans.punkt(plan.config).at_most(text, MIN_SENTENCES) < MIN_SENTENCES:
            return None, [*effects, Effect("sentences_again", True, 0, num_bytes(text))]
    if "language" in plan.names:
        found = detector(plan.config.detector).best(text)
        is_wanted = found.code == plan.config.language
        if not is_wanted or found.probability < plan.config.sureness:
            counts.languages[found.code if not is_wanted else f"{found.code}, not surely"] += 1
            return None, [*effects, Effect("language", True, 0, num_bytes(text))]
    if "bad_words" in plan.names and plans.bad_words(plan.config).found(text):
        return None, [*effects, Effect("bad_words", True, 0, num_bytes(text))]
    return text, effects


def without_duplicates(plan: Plan, text: str, gone: Set[int], stay: Set[int]) -> str:
    """A page without the units that stay elsewhere."""
    if plan.config.dedup is Dedup.LINE:
        return duplicates.without_lines(text, gone)
    return duplicates.without_spans(text, gone, stay, plans.punkt(plan.config))


def _effect(rule: str, before: str, after: str) -> Effect:
    lines = before.count("\n") - after.count("\n") + (not after)
    return Effect(rule, not after, lines, num_bytes(before) - num_bytes(after))
