"""`python -m valley`: the command line, for launchers that start modules (torchrun -m valley train ...)."""

from valley.cli import main

if __name__ == "__main__":
    main()
