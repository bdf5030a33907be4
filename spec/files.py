"""Reading a description's files: inheritance, inclusion, constants, replaced declarations."""

from dataclasses import dataclass, field
from pathlib import Path

from spec import syntax
from spec.declare import constants
from spec.diagnostics import Diagnostic, Label, Severity
from spec.instructions import Member, members
from spec.parse import parse
from spec.scope import Globals, Rejected, reject
from spec.source import Span, text_of

MAXIMUM_BYTES = 4_000_000
"""A description larger than this is refused: it is not one."""


def problem(code: str, message: str, span: Span, help: str = "") -> Diagnostic:
    """An error about a whole file or the description as such."""
    return Diagnostic(Severity.ERROR, code, message, Label(span), help=help)


@dataclass
class Files:
    """The declarations of a description and of all files it draws on, in order."""

    globals: Globals
    texts: dict[str, str] = field(default_factory=dict)
    title: str = ""
    remarks: list[syntax.Remark] = field(default_factory=list)
    declarations: list[syntax.Declaration | Member] = field(default_factory=list)
    overrides: dict[str, int] = field(default_factory=dict)
    overridden: set[str] = field(default_factory=set)

    def read(self, path: str) -> None:
        """Read the description at `path`; problems go to the globals' diagnostics."""
        with self.globals.collecting():
            self._file(path, Span(path, 0, 0), (), base=False)

    def _file(self, path: str, span: Span, stack: tuple[str, ...], *, base: bool) -> None:
        text = self._read(path, span)
        key = str(Path(path).resolve())
        if key in stack:
            raise Rejected(problem("E0503", f"`{path}` includes itself", span))
        self.texts[path] = self.globals.texts[path] = text
        tree = parse(text, path)
        if isinstance(tree, Diagnostic):
            raise Rejected(tree)
        self._items(tree.items, path, (*stack, key), base=base)
        if not stack and not self.title and not self.globals.failed:
            self.globals.diagnostics.append(
                problem(
                    "E0302",
                    "the description has no title",
                    Span(path, 0, 1),
                    'begin with `isa "Title"`',
                )
            )

    def _read(self, path: str, span: Span) -> str:
        file = Path(path)
        try:
            if file.is_dir():
                raise Rejected(problem("E0501", f"`{path}` is a directory", span, "name a file"))
            if file.stat().st_size > MAXIMUM_BYTES:
                raise Rejected(
                    problem("E0504", f"`{path}` has more than {MAXIMUM_BYTES} bytes", span)
                )
            content = file.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file name"
            raise Rejected(
                problem(
                    "E0501", f"cannot read `{path}`: {(reason or 'unknown error').lower()}", span
                )
            ) from None
        try:
            return text_of(content)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise Rejected(
                problem(
                    "E0502",
                    f"`{path}` is not UTF-8 text: byte 0x{content[error.start]:02X} in line {line}",
                    span,
                    "save it as UTF-8",
                )
            ) from None

    def _items(
        self, items: tuple[syntax.Item, ...], path: str, stack: tuple[str, ...], *, base: bool
    ) -> None:
        for item in items:
            with self.globals.collecting():
                self._item(item, path, stack, base=base)

    def _item(self, item: syntax.Item, path: str, stack: tuple[str, ...], *, base: bool) -> None:
        match item:
            case syntax.Title(text):
                if not base:
                    if self.title:
                        raise reject("E0301", "the description has two titles", item.span)
                    self.title = text
            case syntax.Extends(other, bindings):
                for binding in bindings:
                    self.overrides[binding.name] = constants(self.globals).integer(binding.value)
                self._file(str(Path(path).parent / other), item.span, stack, base=True)
                for binding in bindings:
                    if binding.name not in self.overridden:
                        raise self.globals.unknown(
                            "parameter", binding.name, binding.span, list(self.globals.numbers)
                        )
            case syntax.Include(other):
                self._file(str(Path(path).parent / other), item.span, stack, base=base)
            case syntax.Remark():
                self.remarks.append(item)
            case syntax.Param(name, value):
                if name in self.globals.numbers:
                    raise reject("E0301", f"`{name}` is declared twice", item.span)
                given = constants(self.globals).integer(value)
                self.overridden.add(name)
                self.globals.numbers[name] = self.overrides.get(name, given)
            case syntax.When(condition, then, orelse):
                chosen = then if constants(self.globals).integer(condition) else orelse
                self._items(chosen or (), path, stack, base=base)
            case syntax.Remove(kind, name):
                if not self._drop(kind, name):
                    raise reject("E0505", f"there is no {kind} `{name}` to remove", item.span)
            case syntax.Replace(declaration):
                self._replace(declaration)
            case syntax.ClaimProperty() | syntax.ClaimEscapes() | syntax.Literature():
                if not base:
                    self.declarations.append(item)
            case syntax.Instruction():
                self.declarations += members(item)
            case _:
                self.declarations.append(item)

    def _key(self, declaration: syntax.Declaration | Member) -> tuple[str, str]:
        match declaration:
            case Member(name):
                return "instruction", name
            case syntax.State(role, names):
                return role, names[0]
            case syntax.Function(name):
                return "fn", name
            case syntax.TypeDef(name):
                return "type", name
            case syntax.OperandSubset(name):
                return "operand", name
            case (
                syntax.Translate()
                | syntax.Fetch()
                | syntax.Undecodable()
                | syntax.Invariant()
                | syntax.Before()
            ):
                return type(declaration).__name__.lower(), ""
            case syntax.ClaimProperty() | syntax.ClaimEscapes():
                return "claim", ""
            case syntax.Literature():
                return "literature", ""
            case syntax.Instruction():
                return "instruction", declaration.name or ""
            case _:
                return type(declaration).__name__.lower(), declaration.name

    def _drop(self, kind: str, name: str) -> bool:
        kept = [
            d
            for d in self.declarations
            if self._key(d) != (kind, name)
            and not (isinstance(d, syntax.State) and d.role == kind and name in d.names)
        ]
        found = len(kept) < len(self.declarations)
        self.declarations = kept
        return found

    def _replace(self, declaration: syntax.Declaration) -> None:
        new: list[syntax.Declaration | Member] = (
            list(members(declaration))
            if isinstance(declaration, syntax.Instruction)
            else [declaration]
        )
        for one in new:
            kind, name = self._key(one)
            if not self._drop(kind, name):
                raise reject(
                    "E0505", f"there is no {kind} `{name}` to replace", declaration.span,
                    help="declare it without `replace`",
                )  # fmt: skip
        self.declarations += new
