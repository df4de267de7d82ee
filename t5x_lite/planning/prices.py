"""What a chip and hour costs: a user's own table in place of the list prices."""

from t5x_lite.errors import UserError
from t5x_lite.planning.chips import CHIPS, Chip
from t5x_lite.text_files import read_json_object


def read_prices(path: str) -> dict[str, float]:
    """Chip -> dollars, from a file such as {"v5e": 0.84, "v5p": 2.94}.

    Raises:
        OSError: it cannot be read.
        UserError: it says something else.
    """
    known, found = [chip.name for chip in CHIPS], read_json_object(path)
    for name, price in found.items():
        if name not in known or isinstance(price, bool) or not isinstance(price, int | float):
            raise UserError(
                f"{path} has {name!r}: {price!r}; needed are dollars per chip and hour, such as "
                f'{{"v5e": 0.84}}, of {", ".join(known)}.'
            )
        if not 0 <= price < float("inf"):
            raise UserError(f"{path} has {name!r}: {price}; needed is a price of at least 0.")
    return {name: float(price) for name, price in found.items()}


def price_of(chip: Chip, *, given: float | None, path: str | None) -> float | None:
    """What was given, else what the file at `path` says of the chip, else the list price."""
    if given is not None:
        return given
    own = read_prices(path) if path is not None else {}
    return own.get(chip.name, chip.price)
