"""`python -m lstm_xcheck`."""

from .cli.main import main

if __name__ == "__main__":
    main()
