/* Starts an unpacked 64-bit Linux kernel where a boot loader expects a packed one.
 *
 * Under emulation most of a boot is the kernel unpacking itself (xz: 3.5 of 5.6 seconds). scripts/make-guest-image puts this in the place
 * of the unpacker: the kernel's own real-mode part jumps here, at 1 MiB, in 32-bit protected mode with the boot parameters in ESI.
 * Behind this code lies the kernel as it stands in memory, from KERNEL on. We move it up, clear what follows it, map the first 4 GiB
 * one to one, enter long mode and jump to its 64-bit entry (Documentation/x86/boot.rst, "64-bit Boot Protocol").
 *
 * Assembled with: LOADED, KERNEL (addresses), SIZE (bytes of the kernel in the file, a multiple of 4), END (address of the end of its memory). */
    .code32
    .globl _start
_start:
    cli
    movl %esi, %ebx
    /* upwards and overlapping, so the last word first */
    std
    movl $(payload + SIZE - 4), %esi
    movl $(KERNEL + SIZE - 4), %edi
    movl $(SIZE / 4), %ecx
    rep movsl
    cld
    xorl %eax, %eax
    movl $(KERNEL + SIZE), %edi
    movl $((END - KERNEL - SIZE) / 4), %ecx
    rep stosl

    /* page tables: one PML4, one PDPT, four page directories of 2 MiB pages */
    movl $tables, %edi
    movl $(6 * 4096 / 4), %ecx
    rep stosl
    movl $(tables + 4096 + 3), tables
    movl $(tables + 4096), %edi
    movl $(tables + 2 * 4096 + 3), %eax
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 1b
    movl $(tables + 2 * 4096), %edi
    movl $0x83, %eax
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b

    lgdt gdt_pointer
    movl %cr4, %eax
    orl $0x20, %eax                 /* PAE */
    movl %eax, %cr4
    movl $tables, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax                /* EFER.LME */
    wrmsr
    movl $0x80000001, %eax          /* paging, protection */
    movl %eax, %cr0
    ljmp $0x10, $3f

    .code64
3:  movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $stack_end, %esp
    movl %ebx, %esi                 /* the boot parameters */
    xorl %ebp, %ebp
    movl $KERNEL, %eax
    jmp *%rax

    .balign 8
gdt:
    .quad 0, 0
    .quad 0x00af9a000000ffff        /* 0x10: 64-bit code */
    .quad 0x00cf92000000ffff        /* 0x18: data */
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .balign 4096
tables:
    .fill 6 * 4096
    .fill 1024
stack_end:
    .balign 4096
payload:
