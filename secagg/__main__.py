"""The entry point of `secagg`, also as `python -m secagg`."""

from secagg.launch import launch


def main() -> None:
    """Run the command line."""
    launch("secagg", "secagg.cli", extra="cli")


if __name__ == "__main__":
    main()
