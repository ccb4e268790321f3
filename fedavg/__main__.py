"""The entry point of `fedavg`, also as `python -m fedavg`."""

from secagg.launch import launch


def main() -> None:
    """Run the command line."""
    launch("fedavg", "fedavg.commands", extra="fedavg")


if __name__ == "__main__":
    main()
