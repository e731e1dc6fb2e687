/* Entry points and notes of the small Xen guest: one ELF file that boots as PV (64 bit) and, unless PV_ONLY is defined, as PVH.
 * The notes are Xen's public elfnote.h; the start states its arch-x86/xen.h (PV) and hvm/start_info.h (PVH). */
    .macro note_text type, text
    .pushsection .note.xen, "a", @note
    .align 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  .asciz "\text"
2:  .align 4
    .popsection
    .endm
    .macro note_value type, kind, value
    .pushsection .note.xen, "a", @note
    .align 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  \kind \value
2:  .align 4
    .popsection
    .endm

    note_text 6, evenode                /* guest OS */
    note_text 7, 1                      /* its version */
    note_text 5, xen-3.0                /* the interface */
    note_text 8, generic                /* loader */
    note_text 9, yes                    /* PAE */
    note_value 1, .quad, pv_start       /* entry */
    note_value 2, .quad, hypercall_page
    note_value 3, .quad, 0              /* virtual base: virtual is physical */
    note_value 4, .quad, 0
#ifndef PV_ONLY
    note_value 18, .long, pvh_start     /* PHYS32_ENTRY */
#endif

    .text
    .code64
    .globl pv_start
pv_start:                               /* %rsi: start_info */
    cld
    lea stack_end(%rip), %rsp
    mov %rsi, %rdi
    xor %esi, %esi
    call guest_main
    ud2

    .code32
pvh_start:                              /* protected mode, no paging; %ebx: hvm_start_info */
    cld
    mov $stack_end, %esp
    mov %ebx, %ebp
    mov $page_directories, %edi         /* the first 4 GiB, each address its own, in pages of 2 MiB */
    mov $0x83, %eax
    mov $2048, %ecx
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $page_directories + 3, %eax
    mov $directory_pointers, %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 1b
    movl $directory_pointers + 3, page_map
    mov $0x20, %eax                     /* PAE */
    mov %eax, %cr4
    mov $page_map, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx               /* EFER: long mode */
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $1f
    .code64
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %ebp, %edi
    mov $1, %esi
    call guest_main
    ud2

    .globl hypercall                    /* long hypercall(number, a, b, c, d) */
hypercall:
    shl $5, %edi
    lea hypercall_page(%rip), %rax
    add %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    jmp *%rax

    .align 4096
    .globl hypercall_page
hypercall_page: .skip 4096

    .data
    .align 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word 23
    .long gdt

    .bss
    .align 4096
page_directories: .skip 4 * 4096
directory_pointers: .skip 4096
page_map: .skip 4096
    .globl shared_info
shared_info: .skip 4096
    .skip 16384
stack_end:
    .section .note.GNU-stack, "", @progbits
