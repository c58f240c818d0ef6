/* The process and its mounts: locks, limits, mount and unmount. */
#include "addon.h"

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static napi_value sys_flock(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int operation = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(flock(fd, operation)));
}

static napi_value sys_mount(napi_env env, napi_callback_info info) {
  struct args a;
  char source[PATH_SIZE], target[PATH_SIZE], type[PATH_SIZE], data[PATH_SIZE];
  args_read(&a, env, info);
  arg_path(&a, 0, source);
  arg_path(&a, 1, target);
  arg_path(&a, 2, type);
  int64_t flags = arg_long(&a, 3);
  arg_path(&a, 4, data);
  if (args_bad(&a)) return args_refuse(&a);
  const char *type_or_none = type[0] == '\0' ? NULL : type;
  const char *data_or_none = data[0] == '\0' ? NULL : data;
  return outcome(env, mount(source, target, type_or_none, (unsigned long)flags, data_or_none));
}

static napi_value sys_umount(napi_env env, napi_callback_info info) {
  struct args a;
  char target[PATH_SIZE];
  args_read(&a, env, info);
  arg_path(&a, 0, target);
  int flags = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, umount2(target, flags));
}

static napi_value sys_raise_file_limit(napi_env env, napi_callback_info info) {
  struct rlimit limit;
  (void)info;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return result(env, -errno);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return result(env, -errno);
  return result(env, limit.rlim_cur > INT_MAX ? INT_MAX : (int64_t)limit.rlim_cur);
}

static napi_value sys_umask(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  uint32_t mask = arg_uint(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, umask((mode_t)mask));
}

const struct function sys_process_functions[] = {
  {"flock", sys_flock},
  {"mount", sys_mount},
  {"umount", sys_umount},
  {"raiseFileLimit", sys_raise_file_limit},
  {"umask", sys_umask},
  {NULL, NULL},
};
