"""What loading a description gives; here, so that a cached one is had without the parser."""

from dataclasses import dataclass

from spec.diagnostics import Diagnostic
from spec.ir import Isa


@dataclass
class Loaded:
    """A description (None if there are errors), what was found, and the texts it refers to."""

    isa: Isa | None
    diagnostics: tuple[Diagnostic, ...]
    texts: dict[str, str]
