"""`python -m lavx`."""

from lavx.cli import main

if __name__ == "__main__":
    main()
