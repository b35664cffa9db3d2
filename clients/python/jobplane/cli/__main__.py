"""`python -m jobplane.cli` is the same as `jobplane`."""

from jobplane.cli.main import main

if __name__ == "__main__":
    main()
