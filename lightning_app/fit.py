"""``python -m lightning_app.fit``: trains, then measures once on the test images."""

import sys

from lightning_app.main import main

if __name__ == "__main__":
    main(["fit", *sys.argv[1:]])
