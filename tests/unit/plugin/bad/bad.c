/* Shared objects that a node must refuse, one for each macro: each is wrong in one way. Plain C also shows that the boundary needs no more. */

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "eve/abi.h"

static int instance;

#if defined(CRASHES_IN_DESCRIBE) || defined(CRASHES_WHEN_LOADED)
static void crash_by(int number) {
    signal(number, SIG_DFL); /* a sanitizer would make an orderly exit of it */
    raise(number);
}
#endif

static void* open_it(const eve_host* host, const eve_request* config, eve_reply* error) {
    (void)host;
    (void)config;
#ifdef REFUSES_TO_OPEN
    static const char body[] = "{\"code\":\"failed_precondition\",\"what\":\"no board here\",\"hint\":\"buy one\"}";
    error->body(error->to, body, sizeof body - 1);
    return NULL;
#else
    (void)error;
    return &instance;
#endif
}

static int32_t call_it(void* self, const eve_request* request, eve_reply* reply) {
    (void)self;
    (void)request;
    (void)reply;
#ifdef CRASHES_IN_DESCRIBE
    crash_by(SIGBUS);
#endif
    return EVE_UNSUPPORTED;
}

static void close_it(void* self) { (void)self; }

#ifdef CRASHES_WHEN_LOADED
__attribute__((constructor)) static void crash(void) { crash_by(SIGSEGV); }
#endif
#ifdef HANGS_WHEN_LOADED
__attribute__((constructor)) static void hang(void) {
    for (;;) pause();
}
#endif
#ifdef EXITS_WHEN_LOADED
__attribute__((constructor)) static void leave(void) { _exit(0); }
#endif
#ifdef EXPORTS_MORE
__attribute__((visibility("default"))) int helper_function(void);
int helper_function(void) { return instance; }
#endif
#ifdef HAS_UNIQUE_SYMBOL
__attribute__((visibility("default"))) int shared_by_all = 1;
__asm__(".type shared_by_all, @gnu_unique_object");
#endif
#ifdef MISSES_A_SYMBOL
int from_nowhere(void);
int (*volatile use)(void) = from_nowhere;
#endif

#ifdef WRONG_MAGIC
#define MAGIC 0x12345678u
#else
#define MAGIC EVE_ABI_MAGIC
#endif
#ifdef WRONG_MAJOR
#define MAJOR 2
#else
#define MAJOR EVE_ABI_MAJOR
#endif
#ifdef NEEDS_NEWER_HOST
#define MINOR 7
#else
#define MINOR 0
#endif
#ifdef TOO_SHORT
#define SIZE 16
#else
#define SIZE sizeof(eve_plugin_entry)
#endif
#ifdef NO_ID
#define ID NULL
#else
#define ID "org.example.bad"
#endif
#ifdef ANOTHER_MAJORS_SYMBOL
#define ENTRY eve_plugin_entry_v2
extern __attribute__((visibility("default"))) const eve_plugin_entry eve_plugin_entry_v2;
#else
#define ENTRY eve_plugin_entry_v1
#endif

#ifndef NO_ENTRY
const eve_plugin_entry ENTRY = {MAGIC, SIZE, MAJOR, EVE_ABI_MINOR, MINOR, ID, "1", "hypervisor/1", "by hand", open_it, call_it, close_it};
#else
__attribute__((visibility("default"))) const void* const keep[] = {(const void*)open_it, (const void*)call_it, (const void*)close_it};
#endif
