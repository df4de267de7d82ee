"""What libraries import of themselves wherever it is installed, and nothing here uses: seconds of
every start.
"""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """As if those of these modules that are not imported yet were not installed; afterwards they
    are again. For libraries that can do without them, each said beside its use.
    """
    hidden = [module for module in modules if module not in sys.modules]
    # Importing what is None here raises ImportError.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]
