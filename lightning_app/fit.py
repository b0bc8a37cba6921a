"""``python -m lightning_app.fit``: trains a network and tests it once."""

import sys

from lightning_app.main import main

if __name__ == "__main__":
    main(["fit", *sys.argv[1:]])
