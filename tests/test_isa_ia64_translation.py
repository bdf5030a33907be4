"""Translation of IA-64: what pages grant, what the faults tell, keys, probes and purges.

The facts are of the SDM, revision 2.3; its tables are here as it prints them.
"""

import pytest

from spec.machine import Machine
from tests.ia64_machine import BUNDLE, CODE, DATA, USER, VIRTUAL, gr, machine, set_gr, vector

RIGHTS = {  # vol. 2, table 4-2: by TLB.ar and TLB.pl, what levels 3, 2, 1, 0 may do
    (0, 3): "R R R R",
    (0, 2): "- R R R",
    (0, 0): "- - - R",
    (1, 3): "RX RX RX RX",
    (1, 1): "- - RX RX",
    (2, 3): "RW RW RW RW",
    (2, 0): "- - - RW",
    (3, 3): "RWX RWX RWX RWX",
    (3, 2): "- RWX RWX RWX",
    (4, 3): "R RW RW RW",
    (4, 2): "- R RW RW",
    (4, 1): "- - R RW",
    (4, 0): "- - - RW",
    (5, 3): "RX RX RX RWX",
    (5, 2): "- RX RX RWX",
    (5, 1): "- - RX RWX",
    (5, 0): "- - - RWX",
    (6, 3): "RWX RW RW RW",
    (6, 2): "- RWX RW RW",
    (6, 0): "- - - RW",
    (7, 3): "X X X RX",
    (7, 2): "X X X RX",
    (7, 0): "X X X RX",
}


def translated(text: str, rights: int = 3, privilege: int = 3, **state: int) -> Machine:
    """A machine that has inserted a page at VIRTUAL for data and code, by its own instructions."""
    insert = """
        mov cr.ifa=r4
        mov cr.itir=r5
        itc.d r6
        itc.i r6
        """
    bare = machine(insert + text, **{"psr.ic": 0})
    entry = DATA | 0x61 | privilege << 7 | rights << 9
    set_gr(bare, r4=VIRTUAL, r5=14 << 2 | 0x77 << 8, r6=entry)
    bare.run(4)
    assert bare.pc == CODE + 4 * BUNDLE
    bare.state.update({"psr.ic": 1} | state)
    return bare


@pytest.mark.parametrize(("page", "row"), RIGHTS.items())
def test_pages_grant_what_the_table_says(page: tuple[int, int], row: str) -> None:
    for level, expected in zip((3, 2, 1, 0), row.split(), strict=True):
        found = ""
        for letter, text, denied in (
            ("R", "ld8 r9=[r4]", 0x5300),
            ("W", "st8 [r4]=r9", 0x5300),
            ("X", "br.cond.sptk.few b1", 0x5200),
        ):
            bare = translated(text, *page, cpl=level, **{"psr.dt": 1})
            if letter == "X":
                bare.state.scalars.update({"psr.it": 1, "IP": VIRTUAL})
                bare.state.load_cells(DATA, list(bytes.fromhex(NOP)))
            bare.step()
            if vector(bare) != denied:
                assert bare.pc in (CODE + 5 * BUNDLE, VIRTUAL + BUNDLE)
                found += letter
        assert (found or "-") == expected, (page, level)


NOP = "0100000001000000000200000000040" + "0"


def test_a_missing_translation_tells_of_its_region() -> None:
    bare = translated("ld8 r9=[r10]", **{"psr.dt": 1})
    bare.state.own_array("rr")[3] = 0x99 << 8 | 16 << 2
    set_gr(bare, r10=VIRTUAL)

    bare.step()

    assert vector(bare) == 0x1000
    assert bare.state.scalars["cr_ifa"] == VIRTUAL
    assert bare.state.scalars["cr_itir.key"] == 0x99
    assert bare.state.scalars["cr_itir.ps"] == 16
    assert bare.state.scalars["cr_isr"] == 1 << 34


def test_a_missing_translation_while_nothing_is_collected_is_a_nested_one() -> None:
    bare = translated("ld8 r9=[r10]", cr_isr=5, **{"psr.dt": 1, "psr.ic": 0})
    set_gr(bare, r10=VIRTUAL + (1 << 14))

    bare.step()

    assert (vector(bare), bare.state.scalars["cr_isr"]) == (0x1400, 5)


@pytest.mark.parametrize("text", ["xchg4 r9=[r4],r9", "cmpxchg4.acq r9=[r4],r9,ar.ccv"])
@pytest.mark.parametrize(
    ("rights", "offset", "found"), [(0, 0, 0x5300), (3, 2, 0x5A00), (3, 1 << 14, 0x1000)]
)
def test_the_faults_of_a_semaphore_tell_of_a_read_and_a_write(
    text: str, rights: int, offset: int, found: int
) -> None:
    bare = translated(text, rights, **{"psr.dt": 1})
    set_gr(bare, r4=VIRTUAL + offset)

    bare.step()

    assert (vector(bare), bare.state.scalars["cr_isr"]) == (found, 0x6_0000_0000)


@pytest.mark.parametrize(("key", "found"), [(None, 0x1C00), (0x4, 0x5100), (0x2, BUNDLE)])
def test_keys_are_looked_at_where_the_psr_says_so(key: int | None, found: int) -> None:
    bare = translated("ld8 r9=[r4]", **{"psr.dt": 1, "psr.pk": 1})
    if key is not None:
        bare.state.own_array("pkr")[1] = 0x77 << 8 | key | 1

    bare.step()

    assert vector(bare) == found or bare.pc == CODE + 4 * BUNDLE + found


@pytest.mark.parametrize(
    ("level", "asked", "result"), [(0, 0, 1), (0, 1, 1), (0, 2, 0), (1, 0, 1), (3, 0, 0)]
)
def test_probes_have_no_more_privilege_than_their_program(
    level: int, asked: int, result: int
) -> None:
    bare = translated(f"probe.w r9=r4,{asked}", 2, 1, cpl=level, **{"psr.dt": 1})

    bare.step()

    assert gr(bare, 9) == result


@pytest.mark.parametrize(
    ("former", "rights", "privilege", "level"), [(3, 7, 1, 1), (3, 3, 3, 3), (2, 7, 1, None)]
)
def test_promotion_pages_give_their_level(
    former: int, rights: int, privilege: int, level: int | None
) -> None:
    bare = translated("epc", rights, privilege, cpl=USER, **{"psr.it": 1, "ar_pfs.ppl": former})
    cells = [bare.state.cells[CODE + 4 * BUNDLE + n] for n in range(BUNDLE)]
    bare.state.load_cells(DATA, cells)
    bare.state.scalars["IP"] = VIRTUAL

    bare.step()

    if level is None:
        assert (vector(bare), bare.state.scalars["cr_isr"]) == (0x5400, 0)
    else:
        assert (bare.pc, bare.state.scalars["cpl"]) == (VIRTUAL + BUNDLE, level)


def test_a_purge_takes_the_translations_away() -> None:
    bare = translated("ptc.l r4,r5\nld8 r9=[r4]")

    bare.step()
    bare.state.scalars["psr.dt"] = 1
    bare.step()

    assert vector(bare) == 0x1000


def test_a_purge_of_any_size_is_no_fault() -> None:
    bare = translated("ptc.l r4,r5\nptr.d r4,r5")
    set_gr(bare, r5=62 << 2)

    bare.run(2)

    assert bare.pc == CODE + 6 * BUNDLE
