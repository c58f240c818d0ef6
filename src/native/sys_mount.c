/* Mounts: by path, and detached ones by descriptor. */
#include "addon.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

/* What only newer C libraries declare, in linux/mount.h under the same names. */
enum {
  CLONE_TREE = 1,           /* OPEN_TREE_CLONE; OPEN_TREE_CLOEXEC is O_CLOEXEC */
  WITH_SUBMOUNTS = 0x8000,  /* AT_RECURSIVE */
  MOVE_EMPTY_PATHS = 0x44,  /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */
  CONTEXT_CLOEXEC = 1,      /* FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC */
  SET_FLAG = 0,             /* FSCONFIG_SET_FLAG */
  SET_STRING = 1,           /* FSCONFIG_SET_STRING */
  CREATE = 6,               /* FSCONFIG_CMD_CREATE */
  OPTIONS_SIZE = 32768,     /* overlayfs takes 500 layers, an option each */
};

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

/* One umount2(2) on a thread of libuv's pool. */
struct unmounting {
  napi_async_work work;
  napi_ref done;
  char target[PATH_SIZE];
  int flags;
  int64_t result;
};

static void unmount(napi_env env, void *data) {
  (void)env;
  struct unmounting *one = data;
  one->result = or_errno(umount2(one->target, one->flags));
}

static void unmounted(napi_env env, napi_status status, void *data) {
  struct unmounting *one = data;
  napi_value receiver, done, argument;
  bool ready = status == napi_ok && napi_get_undefined(env, &receiver) == napi_ok;
  if (ready && napi_get_reference_value(env, one->done, &done) == napi_ok) {
    argument = result(env, one->result);
    (void)napi_call_function(env, receiver, done, 1, &argument, NULL); /* what it throws is Node's then */
  }
  napi_delete_reference(env, one->done);
  napi_delete_async_work(env, one->work);
  free(one);
}

static napi_value sys_umount_aside(napi_env env, napi_callback_info info) {
  struct args a;
  char target[PATH_SIZE];
  napi_value name = NULL;
  napi_valuetype type = napi_undefined;
  args_read(&a, env, info);
  arg_path(&a, 0, target);
  int flags = arg_int(&a, 1);
  napi_typeof(env, a.values[2], &type);
  if (type != napi_function) a.type_error = "a function was expected";
  if (args_bad(&a)) return args_refuse(&a);
  struct unmounting *one = calloc(1, sizeof *one);
  if (one == NULL) return result(env, -ENOMEM);
  memcpy(one->target, target, sizeof target);
  one->flags = flags;
  if (napi_create_reference(env, a.values[2], 1, &one->done) == napi_ok) {
    if (napi_create_string_utf8(env, "umount", NAPI_AUTO_LENGTH, &name) == napi_ok &&
        napi_create_async_work(env, NULL, name, unmount, unmounted, one, &one->work) == napi_ok) {
      if (napi_queue_async_work(env, one->work) == napi_ok) return result(env, 0);
      napi_delete_async_work(env, one->work);
    }
    napi_delete_reference(env, one->done);
  }
  free(one);
  return result(env, -ENOMEM);
}

static napi_value sys_clone_mount(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  uint32_t recursive = arg_uint(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  int flags = CLONE_TREE | O_CLOEXEC | AT_EMPTY_PATH | (recursive != 0 ? WITH_SUBMOUNTS : 0);
  return outcome(env, syscall(SYS_open_tree, fd, "", flags));
}

static napi_value sys_set_mount_attributes(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  uint32_t set = arg_uint(&a, 1);
  uint32_t clear = arg_uint(&a, 2);
  uint32_t propagation = arg_uint(&a, 3);
  uint32_t recursive = arg_uint(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  /* struct mount_attr */
  struct {
    uint64_t set, clear, propagation, userns_fd;
  } attributes = {.set = set, .clear = clear, .propagation = propagation};
  int flags = AT_EMPTY_PATH | (recursive != 0 ? WITH_SUBMOUNTS : 0);
  return outcome(env, syscall(SYS_mount_setattr, fd, "", flags, &attributes, sizeof attributes));
}

static napi_value sys_move_mount(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int target = arg_int(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, syscall(SYS_move_mount, fd, "", target, "", MOVE_EMPTY_PATHS));
}

/* Hands `key=value,flag` over, a piece at a time; `options` is taken apart. */
static int64_t configure(int context, char *options) {
  for (char *option = strtok(options, ","); option != NULL; option = strtok(NULL, ",")) {
    char *value = strchr(option, '=');
    if (value != NULL) *value++ = '\0';
    int64_t done = or_errno(syscall(SYS_fsconfig, context, value == NULL ? SET_FLAG : SET_STRING, option, value, 0));
    if (done < 0) return done;
  }
  return or_errno(syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0));
}

static napi_value sys_new_mount(napi_env env, napi_callback_info info) {
  struct args a;
  char type[PATH_SIZE], options[OPTIONS_SIZE];
  args_read(&a, env, info);
  arg_path(&a, 0, type);
  arg_text(&a, 1, options, sizeof options);
  uint32_t attributes = arg_uint(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  int context = (int)syscall(SYS_fsopen, type, CONTEXT_CLOEXEC);
  if (context < 0) return result(env, -errno);
  int64_t fd = configure(context, options);
  if (fd >= 0) fd = or_errno(syscall(SYS_fsmount, context, CONTEXT_CLOEXEC, attributes));
  close(context);
  return result(env, fd);
}

static napi_value sys_quotactl(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  uint32_t command = arg_uint(&a, 1);
  uint32_t id = arg_uint(&a, 2);
  struct bytes data = arg_bytes(&a, 3);
  if (args_bad(&a)) return args_refuse(&a);
  unsigned char own[512] = {0}; /* more than any command reads or writes */
  size_t length = data.length < sizeof own ? data.length : sizeof own;
  memcpy(own, data.data, length);
  int64_t done = or_errno(syscall(SYS_quotactl_fd, fd, command, id, own));
  memcpy(data.data, own, length);
  return result(env, done);
}

const struct function sys_mount_functions[] = {
  {"mount", sys_mount},
  {"umount", sys_umount},
  {"umountAside", sys_umount_aside},
  {"cloneMount", sys_clone_mount},
  {"setMountAttributes", sys_set_mount_attributes},
  {"moveMount", sys_move_mount},
  {"newMount", sys_new_mount},
  {"quotactl", sys_quotactl},
  {NULL, NULL},
};
