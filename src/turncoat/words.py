"""How numbers of things are said."""


def counted(number: int, word: str) -> str:
    """So many of a thing: 1 seed, 2 seeds."""
    return f"{number:,} {word}{'s' * (number != 1)}"
