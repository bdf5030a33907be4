"""A derived monitor as Python: the code that the emitted engine makes of it and runs.

Variables of the state and parameters get the names of what they hold; `t1`, `t2` ... are results.
"""

import re
from collections.abc import Iterable, Sequence

from refvmm.derive import Monitor
from refvmm.processor import texts
from spec import ir
from spec.emitted import emit_instruction, emit_routine
from spec.emitted_state import STEPS
from spec.runtime import Runtime

HEADER = '''\
"""The virtual machine monitor of {isa}, configuration {configuration}, as Python.

Derived from the description and emitted by popek: this is what runs. `S` holds the scalars of the
real machine's state with the monitor's control block, `A` the arrays, `pg` the pages of physical
memory and `wp` those that may be written at once; `load` and `store` reach the others and raise
nothing. A routine returns the number of steps that it did. `SIGNALS` gets what else happened: a trap as
(number of the cause, class, arguments, address of the next instruction), or "waits".
"""
'''


def monitor_python(
    monitor: Monitor, instructions: Sequence[ir.Instruction], *, whole: bool = True
) -> str:
    """The source of the routines of these instructions.

    With `whole`, that of `save`, `resume` and the fetch too, and of what the virtual machine does
    with its traps and interrupts.
    """
    virtual = monitor.virtual
    names = Runtime(virtual).names()
    pc = next(e for e in virtual.elements if e.name == virtual.pc)
    following = ir.Local("next", pc.width)
    (translate,) = [f for f in virtual.functions if f.name == virtual.translate]
    address = ir.Local("address", translate.parameters[0].width)

    def routine(name: str, block: ir.Block, *parameters: ir.Local) -> str:
        code = emit_routine(virtual, {}, names, block, parameters)
        return _readable(code.source, name, [p.name for p in parameters])

    routines = []
    for instruction in instructions:
        source = emit_instruction(virtual, names, instruction).source
        fields = [*(f.name for f in instruction.fields), "next"]
        routines.append(_readable(source, f"interpret {instruction.name}", fields))
    if whole:
        (text,) = texts([monitor])
        routines = [
            routine("save", monitor.save),
            routine("resume", monitor.resume),
            routine("fetch", text.fetch, address, following),
            *routines,
            *(
                routine(f"reflect {c.name}", c.delivery, *c.parameters, following)
                for c in virtual.causes
            ),
            *(routine(f"interrupt {i.name}", i.delivery, following) for i in virtual.interrupts),
        ]
    head = HEADER.format(isa=monitor.description.name, configuration=monitor.configuration.name)
    return "\n\n".join([head, *routines])


def _readable(source: str, name: str, parameters: Iterable[str]) -> str:
    """The code with names for the state and the parameters that it uses, and wider margins."""
    source = re.sub(rf"{STEPS} \+ (\d+)", r"\1", source.replace(f" {STEPS} = 0\n", "", 1))
    if source.count("dirty") == 1:
        source = source.replace(" dirty = False\n", "")
    meant = {f"p{number}": _word(p) for number, p in enumerate(parameters, 1)}
    meant |= {v: _word(e) for v, e in re.findall(r"^ *([sa]\d+) = [SA]\['(.*?)'\]$", source, re.M)}
    meant["code"] = _word(name)
    taken: set[str] = set()
    for variable, word in meant.items():
        while word in taken:
            word += "_"
        taken.add(word)
        meant[variable] = word
    pattern = re.compile(r"'[^']*'|\b(?:[psa]\d+|code)(?=(?:_\d+)?\b)")
    shown = pattern.sub(lambda found: meant.get(found[0], found[0]), source)
    lines = (re.sub(r"^ +", lambda margin: 4 * margin[0], line) for line in shown.splitlines())
    return "\n".join(lines) + "\n"


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)
