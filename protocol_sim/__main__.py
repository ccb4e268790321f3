"""The entry point of `protocol_sim`, also as `python -m protocol_sim`."""

from secagg.launch import launch


def main() -> None:
    """Run the command line."""
    launch("protocol_sim", "protocol_sim.commands", extra="sim")


if __name__ == "__main__":
    main()
