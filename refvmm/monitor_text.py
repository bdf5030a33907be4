"""A derived monitor as text in the description's language, in the order of P&G's construction.

The control block, the VM map, then <D, A, {v_i}>: dispatcher, allocator, interpreter routines;
then what the virtual machine does with its own traps and interrupts. The dispatcher is the same
for every machine and not IR; all else is the IR that runs.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from refvmm.control_block import MARK, OWN
from refvmm.derive import Monitor
from refvmm.processor import texts
from refvmm.redirect import PREFIX
from refvmm.strategy import Strategy, direct_modes
from spec import ir
from spec.effects import statements
from spec.raise_declarations import Declarations

SECTIONS = (
    "control-block",
    "vm-map",
    "dispatcher",
    "allocator",
    "routines",
    "shared",
    "reflection",
    "interrupts",
)
_TABLES = {
    "slot.valid": "slot i of the shadow tables maps a page",
    "slot.tag": "its virtual address",
    "slot.frame": "its virtual physical address",
    "slot.rights": "write, read, fetch",
    "slot.walk": "the pages that its walk read",
    "slot.walks": "how many they are",
    "slot.place": "the page of the guest that it maps",
    "turn": "the slot to fill next",
    "stale": "what the slots were filled from has changed",
    "touched": "pages that the interpreted instruction reached",
    "touched.valid": "which of them are to be filled",
    "touch.turn": "where the next is noted",
    "walk": "the pages that the present walk read",
    "walks": "how many they are",
    "walk.lost": "it read more than can be noted",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the monitor: what it is, and its text."""

    name: str  # a word, for programs
    title: str
    remarks: tuple[str, ...]
    lines: tuple[str, ...]


class MonitorText:
    """Writes the parts of a monitor."""

    def __init__(self, monitor: Monitor, strategy: Strategy) -> None:
        self.monitor = monitor
        self.strategy = strategy
        self.write = Declarations(
            monitor.virtual, monitor.description.mode.element, lambda n: n.startswith(OWN)
        )
        self._own = Declarations(monitor.virtual, monitor.description.mode.element, lambda _: True)
        self._functions = {f.name: f for f in monitor.virtual.functions}
        self._modes = {value: name for name, value in monitor.description.mode.members}

    def sections(
        self, instructions: Sequence[ir.Instruction], names: Sequence[str] = SECTIONS
    ) -> list[Section]:
        """Those with these names, with the interpreter routines of the instructions given."""
        make: dict[str, Callable[[], Section]] = {
            "control-block": self.control_block,
            "vm-map": self.vm_map,
            "dispatcher": self.dispatcher,
            "allocator": self.allocator,
            "routines": lambda: self.routines(instructions),
            "shared": lambda: self.subroutines(instructions),
            "reflection": self.reflection,
            "interrupts": self.interrupts,
        }
        return [make[name]() for name in SECTIONS if name in names]

    # -- state

    def control_block(self) -> Section:
        """What the monitor keeps of its virtual machine."""
        block, shadow = self.monitor.block, self.monitor.shadow
        elements = [*block.elements, *(shadow.elements if shadow else ())]
        rows = zip(self.write.state(elements), map(self._purpose, elements), strict=True)
        return Section(
            "control-block",
            "Control block",
            ("What the real machine cannot hold for the virtual one while the guest runs.",),
            tuple(_table(rows)),
        )

    def _purpose(self, element: ir.Element) -> str:
        name = element.name
        if name.startswith(MARK):
            return (
                f"{name.removeprefix(MARK)} when {PREFIX}{name.removeprefix(MARK)} was last right"
            )
        if name.startswith(PREFIX):
            return f"the virtual machine's {name.removeprefix(PREFIX)}"
        known = {
            "region.base": "where the guest's memory begins",
            "region.size": "how many cells it has",
            "monitor.base": "the monitor's own cells",
            f"{OWN}unit": "a fetch unit of the guest's instruction",
        }
        return known.get(name) or _TABLES.get(name.removeprefix(OWN), "")

    def vm_map(self) -> Section:
        """Where a state r of the virtual machine lies in the real machine."""
        monitor = self.monitor
        memory = monitor.description.memory.name
        home, kept = monitor.block.home, monitor.fixed
        composed = dict(monitor.configuration.compose)
        reals = {monitor.real_mode(mode) for mode in monitor.direct}
        follows = "what `resume` makes it" if len(reals) > 1 else self._modes[reals.pop()]
        rows = [(monitor.description.mode.element, follows)]
        rows += [(name, "what `resume` makes it") for name in composed]
        rows += [(name, str(value)) for name, value in kept]
        real = dict(rows)
        names = [e.name for e in monitor.description.elements]
        together = [name for name in names if home(name) == name]
        apart = [name for name in names if home(name) == PREFIX + name and name not in real]
        lines = [
            (f"{home(name)} = r.{name}", f"the real {name} is {real[name]}" if name in real else "")
            for name in names
            if name not in together and name not in apart
        ]
        lines += [(f"{PREFIX}X = r.X", f"X: {part}") for part in _listed(apart)]
        lines += [("X = r.X", f"in place, X: {part}") for part in _listed(together)]
        lines.append(
            (f"{memory}[region.base + a] = r.{memory}[a]", "for every a below region.size")
        )
        remarks = ("The real state h = f(r) that stands for a state r of the virtual machine.",)
        return Section("vm-map", "VM map f", remarks, tuple(_table(lines)))

    # -- D and A

    def dispatcher(self) -> Section:
        """P&G's D: where every trap of the guest goes."""
        element = self.monitor.virtual.mode.element
        modes = [self._modes[m] for m in self.monitor.direct if m in self._direct]
        tests = " || ".join(f"{element} == {mode}" for mode in modes)
        guard = self.monitor.guard
        if guard is not None:
            tests = f"({tests}) && mirrored()" if len(modes) > 1 else f"{tests} && mirrored()"
        run = [(f"  if {tests} {{ run }}", "the guest itself, until it traps")]
        rows = [
            ("dispatcher {", ""),
            *(run if modes else ()),
            ("  save()", "its trap is not delivered"),
            (
                f"  let i = decode({self.monitor.virtual.pc})",
                "by `fetch`, as the virtual machine does",
            ),
            ("  v[i]()", "its interpreter routine, once"),
            ("  on trap c { reflect[c]() }", "the virtual machine itself traps"),
            *([("  interrupt()", "if one is pending there")] if self._interrupts else []),
            ("  resume()", ""),
            ("}", ""),
        ]
        remarks = [
            "Entered at every trap of the guest, and when it starts. The same for every machine.",
        ]
        if not modes:
            remarks.append("Nothing runs directly: every instruction is interpreted.")
        if guard is not None and modes:
            remarks.append("The guest runs directly only while what is mirrored may be so.")
        fetch = self._own.block(texts([self.monitor])[0].fetch)
        named = [
            *(_routine("mirrored", self._own.block((ir.Return(guard),))) if guard else ()),
            *([""] if guard else ()),
            *_routine("save", self._own.block(self.monitor.save)),
            "",
            *_routine("fetch(address)", fetch),
        ]
        return Section("dispatcher", "Dispatcher D", tuple(remarks), (*_table(rows), "", *named))

    @property
    def _direct(self) -> frozenset[int]:
        return direct_modes(self.monitor, self.strategy)

    @property
    def _interrupts(self) -> bool:
        return bool(self.monitor.virtual.interrupts)

    def allocator(self) -> Section:
        """P&G's A: what decides about resources: mode, relocation, the region."""
        lines = _routine("resume", self._own.block(self.monitor.resume))
        own = self._reached([self.monitor.resume, *(f.body for f in self._relocating())])
        for function in [*self._relocating(), *own]:
            lines += ["", *self._own.function(function)]
        return Section(
            "allocator",
            "Allocator A",
            ("The only part that touches resources: the real mode, the relocation, the region.",),
            tuple(lines),
        )

    def _relocating(self) -> list[ir.Function]:
        """The routines that reach the guest's memory, those that anything uses."""
        used = {
            s.function
            for body in self._bodies()
            for s in statements(body)
            if isinstance(s, ir.Call) and s.function.startswith(OWN)
        }
        return [f for n, f in self._functions.items() if n in used and n.startswith(OWN)]

    def _bodies(self) -> Iterator[ir.Block]:
        virtual = self.monitor.virtual
        yield from (i.body for i in virtual.instructions)
        yield from (c.delivery for c in virtual.causes)
        yield from (i.delivery for i in virtual.interrupts)
        yield from (f.body for f in virtual.functions)
        yield self.monitor.resume

    def _reached(self, roots: Iterable[ir.Block], known: Iterable[str] = ()) -> list[ir.Function]:
        """Functions that the blocks call, directly or not, but for relocation and `known`."""
        found: dict[str, None] = {}
        left = list(roots)
        skipped = {*known, *(f.name for f in self._relocating())}
        while left:
            for statement in statements(left.pop()):
                if isinstance(statement, ir.Call) and statement.function not in skipped:
                    skipped.add(statement.function)
                    found[statement.function] = None
                    left.append(self._functions[statement.function].body)
        return [f for n, f in self._functions.items() if n in found]

    # -- the virtual machine

    def routines(self, instructions: Sequence[ir.Instruction]) -> Section:
        """P&G's v_i."""
        shown = [self.write.instruction(i) for i in instructions]
        return Section(
            "routines",
            "Interpreter routines v_i",
            ("What each instruction does to the virtual machine: its own text, over r's homes.",),
            tuple(_apart(shown)),
        )

    def subroutines(self, instructions: Sequence[ir.Instruction]) -> Section:
        """What the routines, the deliveries and the interrupts call."""
        virtual = self.monitor.virtual
        roots = [i.body for i in instructions]
        roots += [c.delivery for c in virtual.causes] + [i.delivery for i in virtual.interrupts]
        translate = self._functions[virtual.translate]
        called = self._reached([*roots, translate.body], [translate.name])
        known = {f.name for f in self._reached([self.monitor.resume])}
        shown = [self.write.function(f) for f in [translate, *called] if f.name not in known]
        return Section(
            "shared",
            "What they share",
            ("The virtual machine's translation gives addresses of its own physical memory.",),
            tuple(_apart(shown)),
        )

    def reflection(self) -> Section:
        """The deliveries of traps in the virtual machine."""
        shown = [self.write.cause(c) for c in self.monitor.virtual.causes]
        return Section(
            "reflection",
            "Reflection of traps",
            ("A trap that the virtual machine itself takes is delivered there, as it says.",),
            tuple(_apart(shown)),
        )

    def interrupts(self) -> Section:
        """The interrupts of the virtual machine."""
        shown = [self.write.interrupt(i) for i in self.monitor.virtual.interrupts]
        remarks = ("Taken between instructions of the guest, first declared first.",)
        none = ("The machine has no interrupts.",)
        return Section(
            "interrupts", "Virtual interrupts", remarks if shown else none, tuple(_apart(shown))
        )


def _listed(names: Sequence[str]) -> list[str]:
    """The names in lines, fields of one register together: `mstatus.{MIE SIE}`."""
    fields: dict[str, list[str]] = {}
    for name in names:
        struct, dot, field = name.rpartition(".")
        fields.setdefault(struct + dot, []).append(field)
    parts = [
        part
        for struct, own in fields.items()
        for part in (own if not struct or len(own) == 1 else [f"{{{' '.join(own)}}}"])
        for part in [struct + part]
    ]
    return textwrap.wrap(", ".join(parts), 60, break_on_hyphens=False) if parts else []


def _routine(head: str, lines: Sequence[str]) -> list[str]:
    name = head if head.endswith(")") else f"{head}()"
    if not lines:
        return [f"fn {name} {{ }}"]
    return [f"fn {name} {{", *(f"  {line}" for line in lines), "}"]


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Text and remark, the remarks below each other."""
    found = list(rows)
    width = max((len(text) for text, remark in found if remark), default=0)
    for text, remark in found:
        yield f"{text:{width}}  // {remark}" if remark else text


def _apart(declarations: Iterable[list[str]]) -> Iterator[str]:
    """Declarations of several lines with a blank line between them and their neighbours."""
    before: list[str] | None = None
    for lines in declarations:
        if before is not None and (len(before) > 1 or len(lines) > 1):
            yield ""
        yield from lines
        before = lines
