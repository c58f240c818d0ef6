/* Extended attributes by directory descriptor and name. */
#include "addon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

/*
 * The object as a path. `own` says that the path is the magic link of the descriptor: it must be followed (the kernel
 * goes to the object itself, also when that is a symbolic link), where a name in a directory must not be.
 */
struct object {
  char path[FD_PATH_SIZE + PATH_SIZE];
  bool own;
};

static void arg_object(struct args *args, struct object *object) {
  char name[PATH_SIZE];
  int dirfd = arg_int(args, 0);
  arg_path(args, 1, name);
  object->own = name[0] == '\0';
  if (args_bad(args)) return;
  if (dirfd < 0 && dirfd != AT_FDCWD) {
    args->error = -EBADF;
  } else if (object->own) {
    fd_path(object->path, dirfd);
  } else if (dirfd == AT_FDCWD || name[0] == '/') {
    strcpy(object->path, name);
  } else {
    snprintf(object->path, sizeof object->path, "/proc/self/fd/%d/%s", dirfd, name);
  }
}

static napi_value sys_getxattr(napi_env env, napi_callback_info info) {
  struct args a;
  struct object object;
  char attribute[PATH_SIZE];
  args_read(&a, env, info);
  arg_object(&a, &object);
  arg_path(&a, 2, attribute);
  struct bytes out = arg_bytes(&a, 3);
  if (args_bad(&a)) return args_refuse(&a);
  ssize_t length = object.own ? getxattr(object.path, attribute, out.data, out.length)
                              : lgetxattr(object.path, attribute, out.data, out.length);
  return outcome(env, length);
}

static napi_value sys_listxattr(napi_env env, napi_callback_info info) {
  struct args a;
  struct object object;
  args_read(&a, env, info);
  arg_object(&a, &object);
  struct bytes out = arg_bytes(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  char *list = (char *)out.data;
  return outcome(env, object.own ? listxattr(object.path, list, out.length) : llistxattr(object.path, list, out.length));
}

static napi_value sys_setxattr(napi_env env, napi_callback_info info) {
  struct args a;
  struct object object;
  char attribute[PATH_SIZE];
  args_read(&a, env, info);
  arg_object(&a, &object);
  arg_path(&a, 2, attribute);
  struct bytes value = arg_bytes(&a, 3);
  int flags = arg_int(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  int done = object.own ? setxattr(object.path, attribute, value.data, value.length, flags)
                        : lsetxattr(object.path, attribute, value.data, value.length, flags);
  return outcome(env, done);
}

static napi_value sys_removexattr(napi_env env, napi_callback_info info) {
  struct args a;
  struct object object;
  char attribute[PATH_SIZE];
  args_read(&a, env, info);
  arg_object(&a, &object);
  arg_path(&a, 2, attribute);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, object.own ? removexattr(object.path, attribute) : lremovexattr(object.path, attribute));
}

const struct function sys_xattr_functions[] = {
  {"getxattr", sys_getxattr},
  {"listxattr", sys_listxattr},
  {"setxattr", sys_setxattr},
  {"removexattr", sys_removexattr},
  {NULL, NULL},
};
