"""Run the command line as `python -m condensation`."""

import sys

from condensation.cli import main

if __name__ == "__main__":
    sys.exit(main())
