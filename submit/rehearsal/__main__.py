"""``python -m submit.rehearsal``."""

from submit.rehearsal.command import main

if __name__ == "__main__":
    main()
