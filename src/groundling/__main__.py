"""`python -m groundling`: the command line, as torchrun starts it (`torchrun … -m groundling train PATH`)."""

from .cli import main

if __name__ == "__main__":
    main()
