/* What the files of the addon share: reading arguments, giving results, and the state of one JavaScript environment. */
#ifndef COWFS_ADDON_H
#define COWFS_ADDON_H

#include <errno.h>
#include <limits.h>
#include <node_api.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- one environment (the main thread, or a worker) ---- */

struct poller;
struct pool;

struct addon {
  napi_env env;
  struct poller *poller; /* channel.c; NULL when nothing is watched */
  struct pool *pool;     /* jobs.c; NULL when no threads run */
  atomic_int ended;      /* ended jobs whose callback is still due */
  atomic_int write_error; /* -errno of the first failed write since it was last asked for */
  int open_handles;      /* libuv handles that are not fully closed yet */
  napi_async_cleanup_hook_handle cleanup; /* set while the environment is being torn down */
};

/* Every libuv handle is announced, and its close callback ends with addon_handle_closed. */
void addon_handle_opened(struct addon *addon);
void addon_handle_closed(struct addon *addon);

/*
 * Calls a JavaScript function from the event loop; what it throws becomes an uncaught exception. Needs a handle scope.
 */
void addon_call_from_loop(napi_env env, napi_ref function, size_t count, const napi_value *arguments);

/* ---- arguments ----
 * A function reads all its arguments, then asks args_bad() once: the first complaint wins. */

enum { ARGS_MAX = 8, PATH_SIZE = PATH_MAX + 1 };

struct args {
  napi_env env;
  struct addon *addon;
  napi_value values[ARGS_MAX];
  const char *type_error; /* throw this */
  int error;              /* or return this -errno */
};

struct bytes {
  uint8_t *data;
  size_t length;
};

void args_read(struct args *args, napi_env env, napi_callback_info info);
int32_t arg_int(struct args *args, size_t index);   /* modulo 2^32, so unsigned flags may be given as well */
uint32_t arg_uint(struct args *args, size_t index); /* modulo 2^32: -1 is 0xffffffff */
int64_t arg_long(struct args *args, size_t index);
/*
 * A latin1 string, one byte a character, into `buffer` of PATH_SIZE. PATH_MAX bytes or more: -ENAMETOOLONG; NUL:
 * -EINVAL.
 */
void arg_path(struct args *args, size_t index, char *buffer);
/* The same for a buffer of another size: `size` - 1 bytes or more are too many. */
void arg_text(struct args *args, size_t index, char *buffer, size_t size);
struct bytes arg_bytes(struct args *args, size_t index); /* a Uint8Array or Buffer */
/* `length` bytes from `start` of the array, as three consecutive arguments. Outside of the array: -EINVAL. */
struct bytes arg_slice(struct args *args, size_t index);

static inline bool args_bad(const struct args *args) { return args->type_error != NULL || args->error != 0; }
napi_value args_refuse(struct args *args);

/* ---- results ---- */

napi_value result(napi_env env, int64_t value);

/* The kernel's convention turned into ours: -1 becomes -errno. */
static inline int64_t or_errno(int64_t value) { return value == -1 ? -errno : value; }
static inline napi_value outcome(napi_env env, int64_t value) { return result(env, or_errno(value)); }

/* ---- shared work ---- */

/* copy.c */
int64_t copy_range(int input, int64_t in_offset, int output, int64_t out_offset, int64_t length);
int copy_data(int input, int output, int64_t size);

/* files.c: `count` orders of `table`, whose `names` and `content` lie elsewhere. The number of the first that failed, from 1 on, or 0. Any thread. */
struct files {
  struct bytes table, names, content;
  size_t count;
};
struct files files_read(struct args *args, size_t index); /* four arguments: table, count, names, content */
int64_t files_make(const struct files *files);

/* channel.c: one write(2); 0 or -errno, which is also kept for replyError() unless it is ENOENT. */
int channel_write(struct addon *addon, int fd, const void *data, size_t length);
void channel_close(struct addon *addon);

/* jobs.c */
void jobs_close(struct addon *addon);

/* sys_create.c */
void identity_init(void);

/* sys_attributes.c: utimensat(2); 0 or -errno. */
struct statx_timestamp;
int64_t set_times(int dirfd, const char *name, struct statx_timestamp atime, struct statx_timestamp mtime);

/* "/proc/self/fd/N" */
enum { FD_PATH_SIZE = 32 };
void fd_path(char *buffer, int fd);

/* ---- the tables of exported functions ---- */

struct function {
  const char *name;
  napi_callback call;
};

extern const struct function sys_open_functions[];
extern const struct function sys_attributes_functions[];
extern const struct function sys_xattr_functions[];
extern const struct function sys_names_functions[];
extern const struct function sys_create_functions[];
extern const struct function sys_data_functions[];
extern const struct function files_functions[];
extern const struct function tar_functions[];
extern const struct function sys_mount_functions[];
extern const struct function sys_process_functions[];
extern const struct function channel_functions[];
extern const struct function jobs_functions[];
extern const struct function job_submit_functions[];
extern const struct function zstd_functions[];
extern const struct function archive_functions[];

#endif
