"""The formatter keeps meaning and comments, and what it wrote it leaves alone."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spec.diagnostics import Diagnostic
from spec.format import format_source
from spec.parse import parse
from spec.words import words

ISAS = Path(__file__).parent.parent / "isas"
DESCRIPTIONS = sorted(ISAS.rglob("*.isa"))

# Every construct of the grammar, written carelessly; each stands alone.
SNIPPETS = [
    'extends "a.isa" with UMIP=true,N = 4',
    'include "b.isa"   source "manual"',
    "param XLEN=2^5",
    "when UMIP&&XLEN==32{control a:bits(2) flag b : bits(1)}else { flag c:bits(1) }",
    'remove instruction "MOVE from SR"',
    "replace fn f(a:bits(N))->bits(N){return -a+~b*(c-1)}",
    "type word=bits(32)",
    "enum Cond:bits(4){EQ=0,NE,\n\n\nCS}",
    "mode M:bits(2){U=0,S=1,\nMm=3,}reset S",
    "struct PTE:bits(32){PPN@31:10,V@0}",
    "struct Rel{l:bits(10),b:bits(11)}",
    'names Reg:bits(1){"x0|zero"\n"x1|ra"}',
    "register x:word[32]zero 0 reset 4'd7\ncontrol satp:Satp\npc  P:word",
    "bank SP:word{user:USP,supervisor:SSP}",
    "alias SR:bits(8)=T++1'b0++S\n++2'b00++I\nalias CCR:bits(1)=C",
    "memory E:bits(8)[2^32]little fetch 16",
    "translate(va,access,size,mode){let a=bits(va);if a[0:0]==1&&size>=2{trap odd(va)}return paddr(a[W-1:0])}",
    "accessor X(i:Reg):word{read{return x[i+1]}write(v){x[i]=v}}",
    "cause page_fault(va:vaddr):memory{mcause=13;mtval=va;enter()}\ncause illegal:privilege{}",
    "undecodable trap illegal:fault\ninvariant MPP!=2\nbefore instruction{x[1]=next}",
    "interrupt timer when mie&mip==1{f();(a).b=1}",
    'operand ea{\n|dn(n:bits(3))=mode"000"reg n asm"%d{n}"\n|index(n:bits(3),\nd:bits(16))\n=mode"101"reg n tail d where d!=0 asm"x"\n}',
    "operand memory_ea=ea except{dn}\noperand other=ea only{disp,\nabsw}",
    'instruction ADDI(rd:Reg,imm:bits(12))=imm[11:5] rs1"000"rd imm[0]\nwhere rd!=0\nasm"a"  doc"d" page"p"\n{\n\n\nx[rd]=x[rs1]+sext(imm)\n\n}',
    'instruction SFENCE.VMA(a:ea)="0"a.mode a.tail asm "b"{wait}',
    'family(f7,result)\n|ADD:"0000000",a+b\n| "SRA x" "sra":"01",signed(a)>>b[4:0]\n|LONGER : "1" , -a\ninstruction(rd:Reg)=f7 rd\nasm"{name}"\n{\nlet a=x[rs1] let b:bits(2)=x[rs2];x[rd]=result\n}',
    "fn g(e:ea)->bool{var n=1 n=2\nfor i in 0..15{n=n+i}\nmatch e{A=>n=1 B|C=>{n=2}\n\ndisp(r,d)=>{return d}\n_=>{}}\nif n==1{f()}\nelse if n==2{g()}\nelse{h(a,\nb)}}",
    "fn h(){let v=match e{1=>2,4'd3=>if a then b else c\n_=>0}\nrequire M>=S else trap privileged(1)\nrequire a else b\ntrap gp(0):privilege\nR=Rel(l=1,b=min(a,\n  b))}",
    "virtualize classic{supervisor,user as user\nconstrain IOPL==0 shadow R,mstatus.MIE pass fcsr\nmirror FS shadow rest\ncompose R=Rel(l=R.l+region.base)compose m[ i ]=m[i]+region.base}",
    "virtualize paged{supervisor,user as user page 2^12 monitor 0x40_1000\ninstall(va,pa,rights,slot){pstore(at(va),pa)\nT[slot]=rights}remove(va,\nslot){}compose R=monitor.base}",
    'claim CSRRW[mstatus]not privileged in msu\nclaim "MOVE from SR" control_sensitive on mode,satp.MODE',
    'claim classic letter not virtualizable\nclaim classic escapes include SGDT,"MOVE x"\nclaim classic no escapes',
    'literature "G 1973" says classic not hybrid but "why"\nliterature"B"says LPSW privileged',
]


@cache
def _formatted(text: str) -> str:
    made = format_source(text, "x.isa")
    assert isinstance(made, str), made
    return made


def _comments(text: str) -> list[str]:
    return ["".join(token.text.split()) for token in words(text) if token.is_comment]


def _check(text: str) -> str:
    made = _formatted(text)
    assert parse(made, "x.isa") == parse(text, "x.isa")
    assert _comments(made) == _comments(text)
    assert _formatted(made) == made
    assert not any(line != line.rstrip() for line in made.split("\n"))
    return made


@pytest.mark.parametrize("path", DESCRIPTIONS, ids=lambda path: path.stem)
def test_descriptions_keep_their_tree_and_comments(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    made = _formatted(text)  # which compares the trees

    assert _comments(made) == _comments(text)
    assert _formatted(made) == made


@pytest.mark.parametrize("path", DESCRIPTIONS, ids=lambda path: path.stem)
def test_bundled_descriptions_are_in_style(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert _formatted(text) == text


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_construct_keeps_its_tree(snippet: str) -> None:
    made = _check(snippet)

    assert made.endswith("\n") and not made.endswith("\n\n")


_BLANKS = st.sampled_from(
    ["", "", " ", "   ", "\n", "\n\n\n", " /* c */ ", " // end \n", "/* a\n   b */\n", ";"]
)


@given(st.lists(st.sampled_from(SNIPPETS), min_size=1, max_size=2), st.data())
def test_blanks_and_comments_anywhere_do_not_change_the_tree(
    snippets: list[str], data: st.DataObject
) -> None:
    found = words("\n".join(snippets))
    text = ""
    for token in found:
        blank = data.draw(_BLANKS)
        text += ("\n" if token.lines else " ") + blank + token.text
    assume(not isinstance(parse(text, "x.isa"), Diagnostic))

    _check(text)


@given(st.lists(st.sampled_from(SNIPPETS), max_size=2))
def test_the_style_does_not_depend_on_blanks(snippets: list[str]) -> None:
    found = words("\n".join(snippets))
    loose = "".join(("\n" if t.lines else "   ") + t.text for t in found)
    tight = "".join(("\n" * min(t.lines, 1) or " ") + t.text for t in found)

    assert _formatted(loose) == _formatted(tight)


@given(st.binary(max_size=40), st.sampled_from(SNIPPETS), st.integers(0, 400))
def test_text_that_does_not_parse_is_a_diagnostic(noise: bytes, snippet: str, at: int) -> None:
    text = snippet[:at] + noise.decode("latin-1") + snippet[at:]

    made = format_source(text, "x.isa")

    assert isinstance(made, Diagnostic) == isinstance(parse(text, "x.isa"), Diagnostic)


def test_the_style_is_this() -> None:
    text = """\
isa   "T"


// state
mode M:bits(1){user=0,supervisor=1}
control R:word // relocation
control S : bits(7)   // the rest
fn f(a:bits(N))->bits(N){
return if a[N-1:0]==0 then -a
else a
}
family(code,result)
 | MOV:8'h01,y
 | "ADD x" "add" : 8'h02,x+y
instruction(a,b:bits(10))=code 4'd0 a b
asm "{name} {a}" doc "d"
{
  match a{1=>f(a)  10 => {
g(a);h(b)
  }
  100=>wait
  2=>wait}
}
"""

    assert (
        _check(text)
        == """\
isa "T"

// state
mode    M : bits(1) { user = 0, supervisor = 1 }
control R : word     // relocation
control S : bits(7)  // the rest
fn f(a : bits(N)) -> bits(N) {
  return if a[N-1:0] == 0 then -a
    else a
}
family (code, result)
  | MOV           : 8'h01, y
  | "ADD x" "add" : 8'h02, x + y
instruction (a, b : bits(10)) = code 4'd0 a b
  asm "{name} {a}"  doc "d"
{
  match a { 1 => f(a)  10 => {
    g(a)  h(b)
  }
    100 => wait
    2   => wait }
}
"""
    )
