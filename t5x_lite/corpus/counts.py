"""What each rule did, in pages, lines and bytes: what was read is what is kept and dropped."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Line ends, and blanks around what was taken away.
BLANKS = "blanks"
_MOST_TOLD = 20


class Effect(NamedTuple):
    """What one rule did to one page.

    Attributes:
        drops_page: or else it changed the page.
        lines: that it dropped.
        num_bytes: of what it took away.
    """

    rule: str
    drops_page: bool
    lines: int
    num_bytes: int


@dataclasses.dataclass
class Tally:
    """The effects of one rule on many pages."""

    pages_dropped: int = 0
    pages_changed: int = 0
    lines_dropped: int = 0
    bytes_dropped: int = 0


@dataclasses.dataclass
class Counts:
    """Of some pages.

    Attributes:
        read, kept: (pages, bytes) as they came and as they are in the corpus, of which `changed`
            are not as they came.
        damage: where input could not be read, the first of them by file and offset.
    """

    read: tuple[int, int] = (0, 0)
    kept: tuple[int, int] = (0, 0)
    changed: int = 0
    rules: dict[str, Tally] = dataclasses.field(default_factory=dict)
    languages: Counter[str] = dataclasses.field(default_factory=Counter)
    splits: Counter[str] = dataclasses.field(default_factory=Counter)
    num_damaged: int = 0
    damage: list[str] = dataclasses.field(default_factory=list)

    def saw(self, num_bytes: int) -> None:
        """A page was read."""
        self.read = (self.read[0] + 1, self.read[1] + num_bytes)

    def keep(self, num_bytes: int, split: str, *, is_changed: bool) -> None:
        """A page is in the corpus."""
        self.kept = (self.kept[0] + 1, self.kept[1] + num_bytes)
        self.changed += is_changed
        self.splits[split] += 1

    def add(self, effects: Iterable[Effect]) -> None:
        """What rules did to one page."""
        for effect in effects:
            tally = self.rules.setdefault(effect.rule, Tally())
            tally.pages_dropped += effect.drops_page
            tally.pages_changed += not effect.drops_page
            tally.lines_dropped += effect.lines
            tally.bytes_dropped += effect.num_bytes

    def hurt(self, where: str) -> None:
        """Something could not be read."""
        self.num_damaged += 1
        if len(self.damage) < _MOST_TOLD:
            self.damage.append(where)

    def merge(self, other: "Counts") -> None:
        """Those of further pages."""
        self.read = (self.read[0] + other.read[0], self.read[1] + other.read[1])
        self.kept = (self.kept[0] + other.kept[0], self.kept[1] + other.kept[1])
        self.changed += other.changed
        for name, theirs in other.rules.items():
            mine = self.rules.setdefault(name, Tally())
            for field in dataclasses.fields(Tally):
                total = getattr(mine, field.name) + getattr(theirs, field.name)
                setattr(mine, field.name, total)
        self.languages += other.languages
        self.splits += other.splits
        self.num_damaged += other.num_damaged
        self.damage = [*self.damage, *other.damage][:_MOST_TOLD]

    def to_json(self) -> dict[str, Any]:
        """As a value of JSON."""
        plain = {name: dict(getattr(self, name)) for name in ("languages", "splits")}
        rules = {name: dataclasses.asdict(tally) for name, tally in self.rules.items()}
        return vars(self) | plain | {"rules": rules}


def from_json(value: Mapping[str, Any]) -> Counts:
    """What `to_json` gave."""
    return Counts(
        read=tuple(value["read"]),
        kept=tuple(value["kept"]),
        changed=value["changed"],
        rules={name: Tally(**tally) for name, tally in value["rules"].items()},
        languages=Counter(value["languages"]),
        splits=Counter(value["splits"]),
        num_damaged=value["num_damaged"],
        damage=list(value["damage"]),
    )
