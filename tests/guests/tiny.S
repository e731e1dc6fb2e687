/* The smallest guest: writes a line to COM1, then does what its variant says. Boots in about a tenth of a second under emulation.
 *
 * Two forms: an ELF file for -kernel (multiboot and PVH), and with SECTOR a disk image whose boot sector it is. One variant each:
 *   POWEROFF  powers itself off
 *   STAY      halts for ever, deaf to the power button
 *   OBEY      powers itself off when the power button is pressed
 *   OBEYXEN   the same where Xen's firmware has the button: there a halt with interrupts off is the machine's end
 *   RESET     resets itself once, then stays (the CMOS remembers); as a disk only: SeaBIOS on q35 does not survive a reset after -kernel
 *   FLOOD     fills the console for ever
 */
#ifdef SECTOR
    .code16
#define SI %si
#else
    .code32
#define SI %esi
    .section .note.pvh, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long _start
#endif
    .section .text
    .align 4
#ifndef SECTOR
    .long 0x1BADB002, 0x00000003, -(0x1BADB002 + 0x00000003)
#endif
    .globl _start
_start:
    cli
#ifdef SECTOR
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7c00, %sp
#else
    movl $0x80000, %esp
#endif
    mov $mark, SI
    call print
#if defined(RESET)
    movb $0x60, %al                 /* a byte of the CMOS that no firmware uses */
    outb %al, $0x70
    inb $0x71, %al
    cmpb $0xA5, %al
    je stay
    movb $0x60, %al
    outb %al, $0x70
    movb $0xA5, %al
    outb %al, $0x71
    movw $0xcf9, %dx
    movb $6, %al
    outb %al, %dx
#elif defined(OBEY)
    movw $0x602, %dx                /* PM1 enable: power button */
    movw $0x100, %ax
    outw %ax, %dx
    movw $0x600, %dx                /* PM1 status */
#ifdef SECTOR
1:  sti                             /* the firmware's clock wakes it: many of them leave the CPU to others */
    hlt
    inw %dx, %ax
#else
1:  inw %dx, %ax
#endif
    testw $0x100, %ax
    jz 1b
    jmp off
#elif defined(OBEYXEN)
1:  sti                             /* the firmware's clock wakes it */
    hlt
    movw $0xb000, %dx               /* PM1 status, which Xen keeps by itself */
    inw %dx, %ax
    testw $0x100, %ax
    jz 1b
    mov $bye, SI
    call print
    cli
    hlt
#elif defined(FLOOD)
1:  mov $mark, SI
    call print
    jmp 1b
#elif defined(POWEROFF)
    jmp off
#endif
stay:                               /* deaf: every interrupt is masked. With the flag off instead, Xen takes the halt for the machine's end */
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    sti
1:  hlt
    jmp 1b
off:
    mov $bye, SI
    call print
    movw $0x604, %dx                /* PM1 control: sleep enable, type 0 = S5 of QEMU */
    movw $0x2000, %ax
    outw %ax, %dx
    jmp stay
print:
    movw $0x3f8, %dx
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  ret
mark:
    .asciz "EVEMARK hello\n"
bye:
    .asciz "EVEMARK off\n"
#ifdef SECTOR
    .org 510
    .word 0xAA55
    .org 1048576                    /* SeaBIOS wants at least a cylinder */
#endif
