"""`python -m mechsteer` is the command line."""

from .cli import main

main()
