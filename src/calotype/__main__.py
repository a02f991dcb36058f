"""`python -m calotype` is the `calotype` command."""

from calotype.cli import main

if __name__ == "__main__":
    main()
