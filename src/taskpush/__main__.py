"""`python -m taskpush` is the `taskpush` script."""

from taskpush.cli import main

if __name__ == "__main__":
    main()
