/* Processes: locks, limits, the mask of new files, signals, time, V8's flags. */
#include "addon.h"

#include <dlfcn.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static napi_value sys_flock(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int operation = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(flock(fd, operation)));
}

static napi_value sys_raise_file_limit(napi_env env, napi_callback_info info) {
  struct rlimit limit;
  (void)info;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return result(env, -errno);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return result(env, -errno);
  return result(env, limit.rlim_cur > INT_MAX ? INT_MAX : (int64_t)limit.rlim_cur);
}

/* A process without CAP_SYS_RESOURCE keeps its hard limit. */
static napi_value sys_lift_size_limit(napi_env env, napi_callback_info info) {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  (void)info;
  if (setrlimit(RLIMIT_FSIZE, &limit) == 0) return result(env, 0);
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return result(env, -errno);
  limit.rlim_cur = limit.rlim_max;
  return outcome(env, setrlimit(RLIMIT_FSIZE, &limit));
}

static napi_value sys_umask(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  uint32_t mask = arg_uint(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, umask((mode_t)mask));
}

static napi_value sys_pidfd_open(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int pid = arg_int(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, syscall(SYS_pidfd_open, pid, 0));
}

static napi_value sys_pidfd_send_signal(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int signal = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0));
}

static napi_value sys_now(napi_env env, napi_callback_info info) {
  struct timespec now;
  napi_value milliseconds = NULL;
  (void)info;
  clock_gettime(CLOCK_MONOTONIC, &now);
  napi_create_double(env, (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6, &milliseconds);
  return milliseconds;
}

static napi_value sys_available_cpus(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, uv_available_parallelism());
}

/*
 * v8::V8::SetFlagsFromString(const char *), which Node shows to addons. Node's own module for it loads streams and much else that a driver does not
 * have, for some milliseconds.
 */
static napi_value sys_set_v8_flags(napi_env env, napi_callback_info info) {
  struct args a;
  char flags[256];
  void (*set)(const char *);
  args_read(&a, env, info);
  arg_text(&a, 0, flags, sizeof flags);
  if (args_bad(&a)) return args_refuse(&a);
  *(void **)&set = dlsym(RTLD_DEFAULT, "_ZN2v82V818SetFlagsFromStringEPKc");
  if (set == NULL) return result(env, -ENOSYS);
  set(flags);
  return result(env, 0);
}

const struct function sys_process_functions[] = {
  {"availableCpus", sys_available_cpus},
  {"flock", sys_flock},
  {"now", sys_now},
  {"pidfdOpen", sys_pidfd_open},
  {"pidfdSendSignal", sys_pidfd_send_signal},
  {"raiseFileLimit", sys_raise_file_limit},
  {"liftSizeLimit", sys_lift_size_limit},
  {"setV8Flags", sys_set_v8_flags},
  {"umask", sys_umask},
  {NULL, NULL},
};
