"""``python -m schedlab`` is ``schedlab``."""

from schedlab.cli import main

if __name__ == "__main__":
    main()
