/* Opening, duplicating and closing descriptors. */
#include "addon.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

enum { ALWAYS = O_CLOEXEC | O_NOCTTY };

/* A new open file description of the object behind `fd`. The magic link must be followed, and only it is. */
static int64_t reopen(int fd, int flags) {
  char path[FD_PATH_SIZE];
  if (fd < 0) return -EBADF;
  fd_path(path, fd);
  return or_errno(TEMP_FAILURE_RETRY(open(path, (flags & ~O_NOFOLLOW) | ALWAYS, 0)));
}

static napi_value sys_open(napi_env env, napi_callback_info info) {
  struct args a;
  char path[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, path);
  int flags = arg_int(&a, 2);
  uint32_t mode = arg_uint(&a, 3);
  if (args_bad(&a)) return args_refuse(&a);
  if (path[0] == '\0') return result(env, reopen(dirfd, flags));
  return outcome(env, TEMP_FAILURE_RETRY(openat(dirfd, path, flags | ALWAYS | O_NOFOLLOW, (mode_t)mode)));
}

/* O_NOFOLLOW is left to the caller here: together with O_PATH it makes the kernel hand out the final link itself. */
static napi_value open_resolved(napi_env env, napi_callback_info info, uint64_t resolve) {
  struct args a;
  char path[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, path);
  int flags = arg_int(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  struct open_how how = {
    /* openat2 refuses what openat ignores: O_NOCTTY beside O_PATH. */
    .flags = (uint32_t)(flags | ((flags & O_PATH) ? O_CLOEXEC : ALWAYS)),
    .resolve = resolve,
  };
  const char *from_here = path[0] == '\0' ? "." : path;
  /* EAGAIN: somebody renamed a directory while the kernel resolved a "..", so it could not tell whether we left. */
  int64_t fd = -EAGAIN;
  for (int attempt = 0; attempt < 16 && (fd == -EAGAIN || fd == -EINTR); attempt++) {
    fd = or_errno(syscall(SYS_openat2, dirfd, from_here, &how, sizeof how));
  }
  return result(env, fd);
}

static napi_value sys_open_beneath(napi_env env, napi_callback_info info) {
  return open_resolved(env, info, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
}

static napi_value sys_open_in_root(napi_env env, napi_callback_info info) {
  return open_resolved(env, info, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static napi_value sys_open_follow(napi_env env, napi_callback_info info) {
  struct args a;
  char path[PATH_SIZE];
  args_read(&a, env, info);
  arg_path(&a, 0, path);
  int flags = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(open(path, flags | ALWAYS, 0)));
}

static napi_value sys_reopen(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int flags = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, reopen(fd, flags));
}

/* Linux has closed the descriptor even when close(2) says EINTR: trying again could close somebody else's. */
static napi_value sys_close(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  int64_t closed = or_errno(close(fd));
  return result(env, closed == -EINTR ? 0 : closed);
}

static napi_value sys_dup(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static napi_value sys_dup2(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int other = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(dup2(fd, other)));
}

const struct function sys_open_functions[] = {
  {"open", sys_open},
  {"openBeneath", sys_open_beneath},
  {"openInRoot", sys_open_in_root},
  {"openFollow", sys_open_follow},
  {"reopen", sys_reopen},
  {"close", sys_close},
  {"dup", sys_dup},
  {"dup2", sys_dup2},
  {NULL, NULL},
};
