// The small Xen guest: writes a line to its console and then obeys xenstore's control/shutdown. Its command line says otherwise:
//   crash   crashes at once        deaf    never acknowledges a request      stubborn  acknowledges, and stays
//   reboot  reboots at once, until its domain's data/stay is there in xenstore
//   off     powers itself off at once
// Facts: Xen's public headers (console.h, xs_wire.h, event_channel.h, sched.h, memory.h, hvm/params.h).

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long u64;

extern long hypercall(long number, ...);
extern char hypercall_page[];
extern volatile u8 shared_info[4096];

enum { memory_op = 12, update_va_mapping = 14, sched_op = 29, event_channel_op = 32, hvm_op = 34 };
enum { sched_yield = 0, sched_shutdown = 2, sched_poll = 3 };
enum { off = 0, reboot = 1, crash = 3 };
enum { param_store_page = 1, param_store_port = 2, param_console_page = 17, param_console_port = 18 };
enum { xs_read = 2, xs_watch = 4, xs_write = 11, xs_event = 15, xs_error = 16 };

#define ordered() __asm__ volatile("mfence" ::: "memory")

struct console_ring { char in[1024], out[2048]; u32 in_taken, in_put, out_taken, out_put; };
struct store_ring { char request[1024], reply[1024]; u32 request_taken, request_put, reply_taken, reply_put; };
static volatile struct console_ring* console;
static volatile struct store_ring* store;
static u32 console_port, store_port;

static void notify(u32 port) { struct { u32 port; } send = {port}; hypercall(event_channel_op, 4L, &send); }

static void print(const char* text) {
    for (; *text; ++text) {
        while (console->out_put - console->out_taken >= sizeof console->out) hypercall(sched_op, (long)sched_yield, 0L);
        console->out[console->out_put % sizeof console->out] = *text;
        ordered();
        console->out_put++;
    }
    ordered();
    notify(console_port);
}

static u32 length(const char* text) { u32 n = 0; while (text[n]) n++; return n; }

static int has_word(const char* line, const char* word) {
    const u32 size = length(word);
    for (int begin = 1; *line; begin = *line == ' ', ++line) {
        u32 same = 0;
        while (begin && same < size && line[same] == word[same]) same++;
        if (same == size && (line[size] == ' ' || line[size] == 0)) return 1;
    }
    return 0;
}

static void shut_down(u32 why) { struct { u32 reason; } how = {why}; hypercall(sched_op, (long)sched_shutdown, &how); }

// Sleeps until the store's event channel fires; returns at once if it did since it was cleared.
static void await_store(void) {
    volatile u64* pending = (volatile u64*)(shared_info + 2048);
    __atomic_fetch_and(&pending[store_port / 64], ~(1UL << (store_port % 64)), __ATOMIC_SEQ_CST);
    if (store->reply_put != store->reply_taken) return;
    struct { u32* ports; u32 count; u64 timeout; } poll = {&store_port, 1, 0};
    hypercall(sched_op, (long)sched_poll, &poll);
}

static void put(const void* from, u32 size) {
    for (const char* byte = from; size; --size) {
        while (store->request_put - store->request_taken >= sizeof store->request) hypercall(sched_op, (long)sched_yield, 0L);
        store->request[store->request_put % sizeof store->request] = *byte++;
        ordered();
        store->request_put++;
    }
}

static void take(void* to, u32 size) {
    for (char* byte = to; size; --size) {
        while (store->reply_put == store->reply_taken) await_store();
        ordered();
        *byte++ = store->reply[store->reply_taken % sizeof store->reply];
        ordered();
        store->reply_taken++;
    }
}

struct header { u32 type, request, transaction, size; };

static void ask(u32 type, const char* text, u32 size) {
    const struct header header = {type, 1, 0, size};
    put(&header, sizeof header);
    put(text, size);
    notify(store_port);
}

// The next message of the store; its body, cut to 255 bytes, ends with a zero.
static u32 hear(char body[256]) {
    struct header header;
    take(&header, sizeof header);
    u32 kept = 0;
    for (u32 i = 0; i < header.size; ++i) {
        char byte;
        take(&byte, 1);
        if (kept < 255) body[kept++] = byte;
    }
    body[kept] = 0;
    notify(store_port);
    return header.type;
}
static u32 answer(char body[256]) { u32 type; do type = hear(body); while (type == xs_event); return type; }

static u64 hvm_parameter(u32 index) {
    struct { u16 domain, pad; u32 index; u64 value; } parameter = {0x7ff0, 0, index, 0};
    hypercall(hvm_op, 1L, &parameter);
    return parameter.value;
}

static const char* pvh_begin(u64 start) {
    u32 a, msr, c, d;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(msr), "=c"(c), "=d"(d) : "a"(0x40000002), "c"(0));
    const u64 page = (u64)hypercall_page;
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)page), "d"((u32)(page >> 32)));
    console = (void*)(hvm_parameter(param_console_page) << 12);
    console_port = (u32)hvm_parameter(param_console_port);
    store = (void*)(hvm_parameter(param_store_page) << 12);
    store_port = (u32)hvm_parameter(param_store_port);
    struct { u16 domain, size; u32 space; u64 index, frame; } map = {0x7ff0, 0, 0, 0, (u64)shared_info >> 12};
    hypercall(memory_op, 7L, &map);
    const char* line = (const char*)*(u64*)(start + 24);
    return line ? line : "";
}

static const char* pv_begin(u64 start) {
    const u64* frames = (const u64*)0xffff800000000000UL;  // machine to physical
    console = (void*)(frames[*(u64*)(start + 72)] << 12);
    console_port = *(u32*)(start + 80);
    store = (void*)(frames[*(u64*)(start + 56)] << 12);
    store_port = *(u32*)(start + 64);
    hypercall(update_va_mapping, shared_info, *(u64*)(start + 40) | 7, 2L);
    return (const char*)(start + 128);
}

void guest_main(u64 start, int pvh) {
    char body[256];
    const char* line = pvh ? pvh_begin(start) : pv_begin(start);
    print(pvh ? "EVEMARK hello from PVH, told: " : "EVEMARK hello from PV, told: ");
    print(line);
    print("\r\n");
    if (has_word(line, "crash")) shut_down(crash);
    if (has_word(line, "off")) shut_down(off);
    if (has_word(line, "reboot")) {
        ask(xs_read, "data/stay", 10);  // the test writes it before the guest boots again
        if (answer(body) == xs_error) shut_down(reboot);
    }
    ask(xs_watch, "control/shutdown\0request", 25);
    print("EVEMARK ready\r\n");
    for (;;) {
        const u32 type = hear(body);
        if (type == xs_event) ask(xs_read, "control/shutdown", 17);
        if (type != xs_read || !body[0]) continue;
        const u32 why = body[0] == 'r' ? reboot : off;
        print("EVEMARK asked: ");
        print(body);
        print("\r\n");
        if (has_word(line, "deaf")) continue;
        ask(xs_write, "control/shutdown", 17);
        if (has_word(line, "stubborn")) continue;
        shut_down(why);
    }
}
