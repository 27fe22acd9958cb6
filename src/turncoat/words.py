"""How numbers of things are said."""


def counted(number: int, word: str) -> str:
    """So many of a thing: 1 seed, 2 seeds."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def opening(name: str) -> str:
    """A name as the first words of a sentence; the rest keeps its capitals, as in macro F1."""
    return name[:1].upper() + name[1:]
