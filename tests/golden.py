"""Golden files: what the program printed when somebody last looked at it and found it right."""

from pathlib import Path

FOLDER = Path(__file__).parent / "golden_texts"


def agrees(name: str, text: str, update: bool) -> bool:
    """Whether `text` is what the golden file holds; writes it first when `update` is set."""
    path = FOLDER / name
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8") == text
