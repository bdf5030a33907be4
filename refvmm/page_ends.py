"""Accesses that begin in one page and end in the next, where translation lets them through.

Tables name whole pages, so they say nothing of such an access. Where a machine's translation refuses it, there
is nothing to show; else section 6 is shown of accesses within a page, and of every instruction that
it makes no other where it retires.
"""

from refvmm.vm_map import bare_state
from spec import ir
from spec.concrete import ConcreteEngine
from spec.outcome import Retired


def crosses(isa: ir.Isa, page: int, access: ir.Access, cells: int) -> bool:
    """Whether the machine, as after reset, lets an access through from one page into the next.

    This only chooses what is to be shown: either is enough.
    """
    if cells == 1:
        return False
    (translate,) = [f for f in isa.functions if f.name == isa.translate]
    last = ir.Literal(page - 1, translate.parameters[0].width)
    looks: ir.Block = (
        ir.Probe("reached", last, cells, access),
        ir.If(ir.Local("reached", 0), (ir.Wait(),), ()),
    )
    state = bare_state(isa, 1 << isa.memory.address_width)
    outcome = ConcreteEngine(isa).run(state, looks, {})
    return isinstance(outcome, Retired) and outcome.waiting


def within(va: ir.Expr, cells: int, page: int) -> ir.Expr:
    """All cells from an address on lie in one page."""
    offset = ir.Binary(ir.BinaryOp.AND, va, ir.Literal(page - 1, va.width), va.width)
    return ir.Compare(ir.CompareOp.ULE, offset, ir.Literal(page - cells, va.width))
