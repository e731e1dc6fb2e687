// A guest of a few KB that shows that it really has a device of the host: it finds every PCI function, reads a NIC's MAC address from its
// registers and a disk's first bytes by DMA, says so on its console, and switches itself off. Loaded as a multiboot kernel (-kernel).

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

enum { page = 4096, patience = 100000000 };

__attribute__((section(".multiboot"), used)) static const u32 header[] = {0x1BADB002, 0, (u32)-0x1BADB002};

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0,%1" ::"a"(value), "Nd"(port)); }
static void out16(u16 port, u16 value) { __asm__ volatile("outw %0,%1" ::"a"(value), "Nd"(port)); }
static void out32(u16 port, u32 value) { __asm__ volatile("outl %0,%1" ::"a"(value), "Nd"(port)); }
static u8 in8(u16 port) {
    u8 value;
    __asm__ volatile("inb %1,%0" : "=a"(value) : "Nd"(port));
    return value;
}
static u32 in32(u16 port) {
    u32 value;
    __asm__ volatile("inl %1,%0" : "=a"(value) : "Nd"(port));
    return value;
}

// ---- saying ----

static void say_char(char c) {
    while (!(in8(0x3fd) & 0x20)) {
    }
    out8(0x3f8, (u8)c);
}
static void say(const char* text) {
    while (*text) say_char(*text++);
}
static void say_hex(u32 value, int digits) {
    while (digits--) say_char("0123456789abcdef"[(value >> (4 * digits)) & 15]);
}
static void say_bytes(volatile const u8* bytes, int count) {
    while (count--) {
        const u8 c = *bytes++;
        say_char(c >= 32 && c < 127 ? (char)c : '.');
    }
}

// ---- PCI ----

struct function {
    u32 bus, slot, number;
};
static u32 address_of(struct function f, u32 offset) { return 0x80000000u | f.bus << 16 | f.slot << 11 | f.number << 8 | (offset & 0xfc); }
static u32 config(struct function f, u32 offset) {
    out32(0xcf8, address_of(f, offset));
    return in32(0xcfc);
}
static void set_config(struct function f, u32 offset, u32 value) {
    out32(0xcf8, address_of(f, offset));
    out32(0xcfc, value);
}
static volatile u32* registers_of(struct function f) {
    set_config(f, 4, config(f, 4) | 6);  // memory and bus mastering
    return (volatile u32*)(config(f, 0x10) & ~15u);
}

// ---- devices ----

static void show_mac(struct function f) {
    volatile u32* registers = registers_of(f);
    const u32 low = registers[0x5400 / 4], high = registers[0x5404 / 4];
    say("DMA-GUEST nic mac=");
    for (int i = 0; i < 6; ++i) {
        say_hex((i < 4 ? low >> (8 * i) : high >> (8 * (i - 4))) & 255, 2);
        if (i < 5) say_char(':');
    }
    say("\n");
}

struct queue {
    volatile u32* entries;
    volatile u32* completions;
    u32 number, tail;
};
static u8 memory[6][page] __attribute__((aligned(4096)));

/// One NVMe command, waited for: its status, or -1.
static int command(volatile u32* registers, struct queue* queue, u32 opcode, u32 space, void* data, u32 d10, u32 d11, u32 d12) {
    const u32 stride = 4u << (registers[1] & 15), at = queue->tail++;
    volatile u32* entry = queue->entries + 16 * at;
    for (int i = 0; i < 16; ++i) entry[i] = 0;
    entry[0] = opcode | (at + 1) << 16;
    entry[1] = space;
    entry[6] = (u32)data;
    entry[10] = d10;
    entry[11] = d11;
    entry[12] = d12;
    registers[(0x1000 + 2 * queue->number * stride) / 4] = queue->tail;
    for (int i = 0; i < patience; ++i)
        if (queue->completions[4 * at + 3] & 0x10000) return (int)(queue->completions[4 * at + 3] >> 17) & 0x7ff;
    return -1;
}

static int read_disk(struct function f) {
    volatile u32* registers = registers_of(f);
    struct queue admin = {(u32*)memory[0], (u32*)memory[1], 0, 0}, io = {(u32*)memory[3], (u32*)memory[4], 1, 0};
    registers[5] = 0;
    for (int i = 0; i < patience && (registers[7] & 1); ++i) {
    }
    registers[9] = 7 | 7 << 16;
    registers[10] = (u32)memory[0];
    registers[11] = 0;
    registers[12] = (u32)memory[1];
    registers[13] = 0;
    registers[5] = 1 | 6 << 16 | 4 << 20;
    for (int i = 0; i < patience && !(registers[7] & 1); ++i) {
    }
    int failed = command(registers, &admin, 6, 0, memory[2], 1, 0, 0);
    say("DMA-GUEST nvme serial=");
    say_bytes(memory[2] + 4, 12);
    failed |= command(registers, &admin, 5, 0, memory[4], 1 | 7 << 16, 1, 0);
    failed |= command(registers, &admin, 1, 0, memory[3], 1 | 7 << 16, 1 | 1 << 16, 0);
    failed |= command(registers, &io, 2, 1, memory[5], 0, 0, 0);
    say(" data=");
    say_bytes(memory[5], 32);
    say("\n");
    return failed;
}

void run(void) {
    int failed = 0;
    for (u32 i = 0; i < sizeof memory; ++i) ((volatile u8*)memory)[i] = 0;
    say("DMA-GUEST up\n");
    for (u32 bus = 0; bus < 32; ++bus)
        for (u32 slot = 0; slot < 32; ++slot)
            for (u32 number = 0; number < 8; ++number) {
                const struct function f = {bus, slot, number};
                const u32 id = config(f, 0), class = config(f, 8) >> 8;
                if ((id & 0xffff) == 0xffff) {
                    if (number == 0) break;
                    continue;
                }
                if (id == 0x10d38086 || id == 0x100e8086) show_mac(f);
                if (class == 0x010802) failed |= read_disk(f);
                if (number == 0 && !(config(f, 0xc) & 0x800000)) break;
            }
    say(failed ? "DMA-GUEST failed\n" : "DMA-GUEST done\n");
#ifndef STAY
    out16(0x604, 0x2000);  // ACPI: off
#endif
    // No interrupt is wanted, but they are let in: a CPU that halts with its door shut has switched itself off, says Xen.
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
    for (;;) __asm__ volatile("sti\n\thlt");
}
__asm__(".globl _start\n_start:\n mov $stack+16384,%esp\n call run\n.lcomm stack,16384\n");
