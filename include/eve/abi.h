#ifndef EVE_ABI_H
#define EVE_ABI_H
/*
 * The whole binary contract between the node and a plugin: C structs that carry JSON and descriptors. Authors in C++ never see it: they
 * implement a class of eve/<interface>.hpp and write EVE_PLUGIN (eve/sdk/plugin.hpp). It is the same in process and in a process apart.
 *
 * Rules of growth
 *
 * 1. A method name carries its interface's revision: "hypervisor/1.create". Within a revision methods, optional fields, enum values and
 *    error details may be added; nothing is removed, renamed, retyped or given another default. A break is /2, and a plugin may serve /1
 *    and /2 at once.
 * 2. A field left out means its default; the default means "as before". Writers leave out defaults; null is never written; an empty list
 *    and a missing list are the same. A value whose absence differs from its default is optional, and written when present.
 * 3. Requests are must-understand: a receiver answers EVE_UNSUPPORTED with the field's path when it meets a field or an enum value that it
 *    doesn't know (".disks[1].io_limit is not known to this side"). Advice that may be ignored lives under "hints".
 * 4. Replies, events, logs and errors are must-ignore: unknown fields are skipped; an unknown enum value reads as "unknown", enumerator 0 of
 *    every enum.
 * 5. Enums travel as snake_case strings. Integers fit int64 or uint64; units end the name (_bytes, _ns, _ms). No floats. Identifiers,
 *    addresses and handles are strings. Times: _ns on CLOCK_MONOTONIC for intervals, RFC 3339 for people.
 * 6. "describe" answers once after open: methods, capabilities, limits, config schema. The node calls no method that is not listed there,
 *    and sets no field whose capability is absent.
 * 7. Limits: the EVE_*_MAX below. Over a limit is an error of the sender, never a truncation.
 * 8. A plugin built with SDK 1.x loads and passes on every node released within five years of 1.0. The entry's name carries the major, so
 *    that one file may carry two.
 *
 * A struct only grows at its end; `size` is what its creator was compiled with; a member beyond `size` is absent. Reserved members are 0.
 * Pointers are borrowed for the call. Nothing allocated on one side is freed on the other. No exception, longjmp or signal handler crosses.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EVE_ABI_MAGIC 0x31455645u
#define EVE_ABI_MAJOR 1u
#define EVE_ABI_MINOR 0u

#define EVE_REQUEST_SIZE_MAX (256u << 10)
#define EVE_REPLY_SIZE_MAX (4u << 20)
#define EVE_EVENT_SIZE_MAX (16u << 10)
#define EVE_FDS_MAX 64u
#define EVE_JSON_DEPTH_MAX 32u
#define EVE_METHOD_SIZE_MAX 127u
#define EVE_ERROR_WHAT_SIZE_MAX 512u

typedef struct eve_request { /* made by the caller */
    uint32_t size, fd_count; /* fd_count <= EVE_FDS_MAX */
    const char* method;      /* "hypervisor/1.create" */
    const char* body;        /* one JSON object; not NUL-terminated */
    uint64_t body_size;
    const int* fds;      /* borrowed: the callee dups what it keeps. JSON refers to them: {"fd":0} */
    uint64_t id;         /* unique per instance and direction; printed in both logs */
    int64_t deadline_ns; /* CLOCK_MONOTONIC, absolute; INT64_MAX: none. The callee answers timed_out by then */
    int cancel_fd;       /* becomes readable when the caller gives up; poll it, never read it; -1: none */
    uint32_t reserved;
} eve_request;

typedef struct eve_reply { /* made by the caller; usable on the calling thread until call() returns */
    uint32_t size, reserved;
    void* to;
    int32_t (*body)(void* to, const char* json, uint64_t json_size); /* at most once; copies; <0: over the limit, nothing kept */
    int32_t (*fd)(void* to, int fd);                                 /* ownership moves; returns its index; <0: refused, still yours */
} eve_reply;

/* 0: body is the result. Else one of EVE_* and body is {"code","what","field","hint","retry_after_ms","entities":[{"kind","id"}]}.
   A body is optional in both cases. An unknown number counts as EVE_INTERNAL. */
typedef int32_t (*eve_call_fn)(void* self, const eve_request*, eve_reply*);
enum {
    EVE_OK,
    EVE_UNAVAILABLE,
    EVE_TIMED_OUT,
    EVE_RESOURCE_EXHAUSTED,
    EVE_ALREADY_EXISTS,
    EVE_NOT_FOUND,
    EVE_FAILED_PRECONDITION,
    EVE_INVALID_ARGUMENT,
    EVE_UNSUPPORTED,
    EVE_CANCELLED,
    EVE_PERMISSION_DENIED,
    EVE_INTERNAL
};

typedef struct eve_host { /* valid from open() until close() returns; any thread; also from inside call() */
    uint32_t size;
    uint16_t abi_major, abi_minor;
    void* self;
    eve_call_fn call; /* "host/1.event", "host/1.log", "host/1.spawn", "host/1.describe" */
} eve_host;

typedef struct eve_plugin_entry { /* the one exported object: eve_plugin_entry_v1, const */
    uint32_t magic, size;
    uint16_t abi_major, abi_minor;
    uint32_t host_abi_minor_min;
    const char *id, *version, *interfaces, *built_with;
    /* no thread, fd or child before it; NULL: error written */
    void* (*open)(const eve_host*, const eve_request* config, eve_reply* error);
    eve_call_fn call; /* overlaps only as `describe` declared: calls_in_flight_max, default 1 */
    /* afterwards no thread of ours runs, no fd of ours is open; guests keep running. No call is in progress */
    void (*close)(void* instance);
} eve_plugin_entry;

#define EVE_PLUGIN_ENTRY_SYMBOL "eve_plugin_entry_v1"
#if defined(__GNUC__)
extern __attribute__((visibility("default"))) const eve_plugin_entry eve_plugin_entry_v1;
#else
extern const eve_plugin_entry eve_plugin_entry_v1;
#endif

#ifdef __cplusplus
}
#endif

#endif
