"""`python -m mechsteer` is the command line."""

from .cli import main

# Processes that a study starts import this file too.
if __name__ == "__main__":
    main()
