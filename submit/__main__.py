"""``python -m submit``."""

import sys

from submit.main import main

if __name__ == "__main__":
    sys.exit(main())
