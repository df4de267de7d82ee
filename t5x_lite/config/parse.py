"""Text -> statements, through gin's own parser: its grammar is ours.

Only the parser is gin's. Its runtime accepts misspelt macros and scopes in silence, imports modules
while it parses, lets the order of lines decide and stops at the first error.
"""

import dataclasses
import tokenize
from collections.abc import Iterable, Iterator

from gin import config_parser

from t5x_lite.config.errors import Location, Problem

# Deeper than any setting; the recursions of this room count on it.
MAX_DEPTH = 50


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%NAME` inside a value."""

    name: str

    @property
    def is_required(self) -> bool:
        """Whether it stands for "somebody has to override this"."""
        return self.name in ("gin.REQUIRED", "REQUIRED")


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@scope/Name()` inside a value; `called` tells whether the parentheses are there."""

    scope: str
    selector: str
    called: bool

    def __str__(self) -> str:
        return f"@{join_scope(self.scope, self.selector)}{'()' if self.called else ''}"


@dataclasses.dataclass(frozen=True)
class Definition:
    """`scope/selector.field = value`, or `NAME = value` when there is no field."""

    scope: str
    selector: str
    field: str
    value: object
    location: Location

    @property
    def is_macro(self) -> bool:
        """Whether it defines a macro; its name is then the selector."""
        return not self.field

    def __str__(self) -> str:
        name = join_scope(self.scope, self.selector)
        return name if self.is_macro else f"{name}.{self.field}"


@dataclasses.dataclass(frozen=True)
class Include:
    """`include "path"`."""

    path: str
    location: Location


@dataclasses.dataclass(frozen=True)
class Import:
    """`import module` or `from module import member`: done only once all else is right."""

    module: str
    member: str | None
    location: Location


Statement = Definition | Include | Import


def join_scope(scope: str, name: str) -> str:
    """`scope/name`, or the bare name outside any scope."""
    return f"{scope}/{name}" if scope else name


def nested(value: object) -> Iterator[Macro | Reference]:
    """The macros and references anywhere inside a value."""
    if isinstance(value, Macro | Reference):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from nested(key)
            yield from nested(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from nested(member)


def parse_text(text: str, source: str) -> tuple[list[Statement], list[Problem]]:
    """The statements of a gin text; after a syntax error the rest of the text is not trusted."""
    statements: list[Statement] = []
    try:
        parser = config_parser.ConfigParser(text, _Delegate())
        while (parsed := parser.parse_statement()) is not None:
            statement = _statement(parsed, source)
            if statement is not None:
                statements.append(statement)
            if _depth(parsed) > MAX_DEPTH:
                raise RecursionError
    except (SyntaxError, tokenize.TokenError, StopIteration, ValueError, TypeError) as error:
        return statements, [_syntax_problem(error, text, source)]
    except RecursionError:
        message = f"a value is nested more than {MAX_DEPTH} deep, which no setting needs"
        return statements, [Problem(message, Location(source))]
    return statements, []


def _depth(parsed: object) -> int:
    """How deep the value of a statement is nested."""
    depth, level = 0, [getattr(parsed, "value", None)]
    while level := [member for value in level for member in _members(value)]:
        depth += 1
    return depth


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple) else ()


def parse_override(text: str, flag: str) -> tuple[list[Statement], list[Problem]]:
    """The statement of `NAME=VALUE` from a command line.

    A value that is no gin value is the string it looks like, because a shell eats quotes; where no
    string belongs, the check of types says so.
    """
    location = Location(f"{flag} on the command line")
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        return [], [Problem(f"needs NAME=VALUE; given {text!r}", location)]
    statements, problems = parse_text(f"{name} = {value}", "")
    if problems:
        statements, problems = parse_text(f"{name} = {value!r}", "")
    if problems or len(statements) != 1 or not isinstance(statements[0], Definition):
        return [], [Problem(f"cannot be read as NAME=VALUE; given {text!r}", location)]
    return [dataclasses.replace(statements[0], location=location)], []


class _Delegate(config_parser.ParserDelegate):
    """Keeps macros and references as values."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        scope, _, selector = scoped_configurable_name.rpartition("/")
        return Reference(scope, selector, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


def _statement(parsed: object, source: str) -> Statement | None:
    """Ours for gin's; None for the head of a block, whose bindings follow on their own."""
    if isinstance(parsed, config_parser.BlockDeclaration):
        return None
    location = Location(source, parsed.location.line_num)  # type: ignore[attr-defined]
    if isinstance(parsed, config_parser.IncludeStatement):
        return Include(parsed.filename, location)
    if isinstance(parsed, config_parser.ImportStatement):
        if parsed.module.startswith("__gin__."):
            return None
        module, _, member = parsed.module.rpartition(".")
        if parsed.is_from:
            return Import(module, member, location)
        return Import(parsed.module, None, location)
    assert isinstance(parsed, config_parser.BindingStatement), parsed
    scope, selector, field = parsed.scope, parsed.selector, parsed.arg_name
    if not field:  # NAME = value
        return Definition("", join_scope(scope, selector), "", parsed.value, location)
    if (selector, field) == (
        "macro",
        "value",
    ):  # NAME/macro.value = value, as T5X's own files say
        return Definition("", scope, "", parsed.value, location)
    return Definition(scope, selector, field, parsed.value, location)


def _syntax_problem(error: Exception, text: str, source: str) -> Problem:
    """A syntax error with its line, whichever way gin or Python's tokenizer reports it."""
    line, message = None, str(error)
    if isinstance(error, StopIteration):
        message = "the text ends inside a statement"
    elif isinstance(error, tokenize.TokenError):
        message, (line, _) = error.args
        line = min(line, len(text.splitlines()))  # Python 3.11 names the line after the last one
    elif isinstance(error, SyntaxError):
        line, message = error.lineno, error.msg
    first_line = message.strip().splitlines()[0]
    return Problem(f"not gin: {first_line}", Location(source, line))
