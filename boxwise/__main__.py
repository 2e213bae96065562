"""`python -m boxwise` is the `boxwise` command (and what torchrun starts)."""

from boxwise.cli import main

if __name__ == "__main__":
    main()
