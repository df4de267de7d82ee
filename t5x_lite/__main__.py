"""`python -m t5x_lite`, the same as the console command."""

import sys

from t5x_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
