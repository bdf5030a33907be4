# A BIOS that runs test records: it restores memory and registers from each, executes its one
# instruction, and saves what the handler of the trap that follows it finds.
#
# Memory: 0x600 next record, 0x604 their number, 0x800 IDT (whoever starts it fills these in);
# 0x1000 the arena, saved and restored: GDT, LDT, TSS, code, data and stacks;
# 0x100000 the records, 0x1000000 the results. A record is 128 bytes of registers and the arena:
#   0 EDI ESI EBP - EBX EDX ECX EAX, 32 EIP CS EFLAGS ESP SS, 52 ES DS FS GS LDTR (words),
#   64 CR0 CR4, 80 ring.
# A result is the same size: 0 EAX, 4 vector, 8 ECX EDX EBX ESP EBP ESI EDI ES SS DS FS GS EFLAGS
#   LDTR TR CR0 CR2 CR3 CR4, 84 GDTR, 92 IDTR, 100 DR0-3 DR6 DR7; then the arena.
# GDT entry 1 is flat code, 2 flat data, 3 the TSS. The handler is at level 0 with a flat SS.
.code16
start:
 cli
 xor %ax,%ax
 mov %ax,%ds
 mov $0xff,%al
 out %al,$0x21
 out %al,$0xa1
 lgdtl %cs:rom_gdtr
 mov %cr0,%eax
 or $1,%al
 mov %eax,%cr0
 ljmpl $8,$(0xf0000+pm)
.align 8
gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0
rom_gdtr: .word 31
 .long 0xf0000+gdt
.set GDT,0x400
.set IDT,0x800
.set INDEX,0x600
.set COUNT,0x604
.set HEADER,0x680
.set SAVE,0x700
.set ARENA,0x1000
.set BYTES,0xa80
.set TESTS,0x100000
.set RESULTS,0x1000000
own_gdtr: .word 31
 .long GDT
own_idtr: .word 0x4ff
 .long IDT
arena_gdtr: .word 0xff
 .long ARENA
.code32
pm: mov $0x10,%ax
 mov %ax,%ds
 mov %ax,%es
 mov %ax,%ss
 mov $0x6000,%esp
 cld
 mov $GDT,%edi
 mov $(0xf0000+gdt),%esi
 mov $8,%ecx
 rep movsl
 lgdt %cs:(0xf0000+own_gdtr)
 movl $0,INDEX
next:
 mov INDEX,%eax
 cmp COUNT,%eax
 jae done
 imul $BYTES,%eax,%esi
 add $TESTS,%esi
 mov $HEADER,%edi
 mov $32,%ecx
 rep movsl
 mov $ARENA,%edi
 mov $((BYTES-128)/4),%ecx
 rep movsl
 mov ARENA+24,%eax
 mov %eax,GDT+24
 mov ARENA+28,%eax
 and $~0x200,%eax
 mov %eax,GDT+28
 mov $24,%ax
 ltr %ax
 lidt %cs:(0xf0000+own_idtr)
 lgdt %cs:(0xf0000+arena_gdtr)
 lldt HEADER+60
 mov HEADER+68,%eax
 mov %eax,%cr4
 mov HEADER+64,%eax
 mov %eax,%cr0
 cmpl $0,HEADER+80
 jne outer
 mov $HEADER+40,%esp
 popf
 mov $HEADER,%esp
 popa
 mov %cs:HEADER+52,%es
 mov %cs:HEADER+54,%ds
 mov %cs:HEADER+56,%fs
 mov %cs:HEADER+58,%gs
 lss %cs:HEADER+44,%esp
 ljmp *%cs:HEADER+32
outer:
 mov $HEADER,%esp
 popa
 mov %cs:HEADER+52,%es
 mov %cs:HEADER+54,%ds
 mov %cs:HEADER+56,%fs
 mov %cs:HEADER+58,%gs
 iret
done:
 mov $0xf4,%dx
 xchg %bx,%bx
 out %al,%dx
 movl $0x600d,INDEX-8
1: hlt
 jmp 1b
common:
 mov %eax,%ss:SAVE+4
 mov %ecx,%ss:SAVE+8
 mov %edx,%ss:SAVE+12
 mov %ebx,%ss:SAVE+16
 mov %esp,%ss:SAVE+20
 mov %ebp,%ss:SAVE+24
 mov %esi,%ss:SAVE+28
 mov %edi,%ss:SAVE+32
 mov %es,%ss:SAVE+36
 mov %ss,%ss:SAVE+40
 mov %ds,%ss:SAVE+44
 mov %fs,%ss:SAVE+48
 mov %gs,%ss:SAVE+52
 mov $0x10,%eax
 mov %ax,%ss
 mov $0x6000,%esp
 mov %ax,%ds
 mov %ax,%es
 pushf
 pop SAVE+56
 push $2                        # POPF leaves VIF and VIP alone, IRET at level 0 does not
 push $8
 push $(0xf0000+cleared)
 iret
cleared:
 sldt SAVE+60
 str SAVE+64
 mov %cr0,%eax
 mov %eax,SAVE+68
 mov %cr2,%eax
 mov %eax,SAVE+72
 mov %cr3,%eax
 mov %eax,SAVE+76
 mov %cr4,%eax
 mov %eax,SAVE+80
 sgdt SAVE+84
 sidt SAVE+92
 mov %dr0,%eax
 mov %eax,SAVE+100
 mov %dr1,%eax
 mov %eax,SAVE+104
 mov %dr2,%eax
 mov %eax,SAVE+108
 mov %dr3,%eax
 mov %eax,SAVE+112
 mov %dr6,%eax
 mov %eax,SAVE+116
 mov %dr7,%eax
 mov %eax,SAVE+120
 lgdt %cs:(0xf0000+own_gdtr)
 xor %eax,%eax
 mov %eax,%cr4
 mov %eax,%dr0
 mov %eax,%dr1
 mov %eax,%dr2
 mov %eax,%dr3
 mov %eax,%cr2
 mov %eax,%cr3
 mov $0xffff0ff0,%eax
 mov %eax,%dr6
 mov $0x400,%eax
 mov %eax,%dr7
 xor %eax,%eax
 mov %eax,%fs
 mov %eax,%gs
 mov $0x11,%al
 mov %eax,%cr0
 mov INDEX,%eax
 imul $BYTES,%eax,%edi
 add $RESULTS,%edi
 mov $SAVE,%esi
 mov $32,%ecx
 rep movsl
 mov $ARENA,%esi
 mov $((BYTES-128)/4),%ecx
 rep movsl
 incl INDEX
 jmp next
.org 0x1000
stubs:
.set i,0
.rept 160
 .org 0x1000+16*i
 mov %eax,%ss:SAVE
 mov $i,%eax
 jmp common
 .set i,i+1
.endr
.org 0xfff0
.code16
 ljmp $0xf000,$start
.org 0xffff
 .byte 0
