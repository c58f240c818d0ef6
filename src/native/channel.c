/* Requests and replies on /dev/fuse. */
#include "addon.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static int64_t now_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * The C library's read and write are cancellation points: in a process with threads each costs two atomic exchanges more, and here
 * they come for every message.
 */
static ssize_t device_read(int fd, struct bytes into) {
  return syscall(SYS_read, fd, into.data, into.length);
}

static ssize_t device_write(int fd, const void *data, size_t length) {
  return TEMP_FAILURE_RETRY(syscall(SYS_write, fd, data, length));
}

/*
 * Yielding while it spins lets a client on the same CPU go on; a client elsewhere finds us awake, which is what
 * spinning is for. An ended job ends the spinning: someone may be waiting for it.
 */
static int64_t receive(struct addon *addon, int fd, struct bytes into, int64_t spin_microseconds) {
  int64_t deadline = 0;
  for (;;) {
    ssize_t count = device_read(fd, into);
    if (count >= 0) return count;
    if (errno == EINTR || errno == ENOENT) continue; /* the request was aborted between wake-up and copy */
    if (errno != EAGAIN || spin_microseconds <= 0) return -errno;
    int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + spin_microseconds * 1000;
    if (now >= deadline || atomic_load_explicit(&addon->ended, memory_order_relaxed) > 0) return -EAGAIN;
    sched_yield();
  }
}

int channel_write(struct addon *addon, int fd, const void *data, size_t length) {
  ssize_t count = device_write(fd, data, length);
  if (count == (ssize_t)length) return 0;
  int error = count < 0 ? -errno : -EIO; /* the device takes all or nothing */
  int none = 0;
  if (error != -ENOENT) atomic_compare_exchange_strong(&addon->write_error, &none, error);
  return error;
}

static napi_value channel_receive(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes into = arg_bytes(&a, 1);
  int64_t spin = arg_long(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, receive(a.addon, fd, into, spin));
}

static napi_value channel_reply(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes data = arg_bytes(&a, 1);
  int64_t length = arg_long(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  if (length < 0 || length > (int64_t)data.length) return result(env, -EINVAL);
  return outcome(env, device_write(fd, data.data, (size_t)length));
}

static napi_value channel_reply_and_receive(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes data = arg_bytes(&a, 1);
  int64_t length = arg_long(&a, 2);
  struct bytes into = arg_bytes(&a, 3);
  int64_t spin = arg_long(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  if (length < 0 || length > (int64_t)data.length) return result(env, -EINVAL);
  (void)channel_write(a.addon, fd, data.data, (size_t)length);
  return result(env, receive(a.addon, fd, into, spin));
}

static napi_value channel_reply_error(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  return result(env, atomic_exchange(&a.addon->write_error, 0));
}

/* ---- waiting on the event loop ---- */

struct poller {
  uv_poll_t handle;
  struct addon *addon;
  napi_ref on_readable;
};

static void free_poller(uv_handle_t *handle) {
  struct poller *poller = handle->data;
  struct addon *addon = poller->addon;
  free(poller);
  addon_handle_closed(addon);
}

/* A failure (the device says POLLERR after an unmount) is told as readable: the next receive returns its errno. */
static void readable(uv_poll_t *handle, int status, int events) {
  struct poller *poller = handle->data;
  napi_env env = poller->addon->env;
  napi_handle_scope scope;
  (void)status;
  (void)events;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  addon_call_from_loop(env, poller->on_readable, 0, NULL);
  napi_close_handle_scope(env, scope);
}

static int start_polling(struct addon *addon, struct poller *poller, int fd) {
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(addon->env, &loop) != napi_ok) return -EIO;
  int started = uv_poll_init(loop, &poller->handle, fd);
  if (started < 0) return started; /* libuv's errors are -errno; nothing to close yet */
  poller->handle.data = poller;
  poller->addon = addon;
  addon->poller = poller;
  addon_handle_opened(addon);
  started = uv_poll_start(&poller->handle, UV_READABLE, readable);
  if (started < 0) channel_close(addon);
  return started;
}

static napi_value channel_poll_start(napi_env env, napi_callback_info info) {
  struct args a;
  napi_valuetype type = napi_undefined;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  napi_typeof(env, a.values[1], &type);
  if (type != napi_function) a.type_error = "a function was expected";
  if (args_bad(&a)) return args_refuse(&a);
  if (a.addon->poller != NULL) return result(env, -EBUSY);
  struct poller *poller = calloc(1, sizeof *poller);
  if (poller == NULL) return result(env, -ENOMEM);
  if (napi_create_reference(env, a.values[1], 1, &poller->on_readable) != napi_ok) {
    free(poller);
    return result(env, -ENOMEM);
  }
  int started = start_polling(a.addon, poller, fd);
  if (started < 0 && poller->addon == NULL) { /* never became a handle: channel_close has not seen it */
    napi_delete_reference(env, poller->on_readable);
    free(poller);
  }
  return result(env, started);
}

/* The descriptor may be closed as soon as this returns: stopping takes it out of the loop's epoll set. */
void channel_close(struct addon *addon) {
  struct poller *poller = addon->poller;
  if (poller == NULL) return;
  addon->poller = NULL;
  uv_poll_stop(&poller->handle);
  napi_delete_reference(addon->env, poller->on_readable);
  uv_close((uv_handle_t *)&poller->handle, free_poller);
}

static napi_value channel_poll_stop(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  channel_close(a.addon);
  return result(env, 0);
}

const struct function channel_functions[] = {
  {"receive", channel_receive},
  {"reply", channel_reply},
  {"replyAndReceive", channel_reply_and_receive},
  {"replyError", channel_reply_error},
  {"pollStart", channel_poll_start},
  {"pollStop", channel_poll_stop},
  {NULL, NULL},
};
