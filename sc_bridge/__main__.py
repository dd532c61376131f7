"""`python -m sc_bridge` is `sc-bridge`."""

from .cli import entry_point

if __name__ == "__main__":
    entry_point()
