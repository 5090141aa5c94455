"""`python -m ObserverUncertaintyLib.cli` is the program `observer-uncertainty`."""

from ObserverUncertaintyLib.cli import main

if __name__ == "__main__":
    main()
