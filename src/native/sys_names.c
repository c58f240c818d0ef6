/* Entries of directories: reading, linking, removing, renaming. */
#include "addon.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static napi_value sys_readlink(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  struct bytes out = arg_bytes(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, readlinkat(dirfd, name, (char *)out.data, out.length));
}

static napi_value sys_getdents(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes out = arg_bytes(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  unsigned length = out.length > INT_MAX ? INT_MAX : (unsigned)out.length;
  return outcome(env, TEMP_FAILURE_RETRY(syscall(SYS_getdents64, fd, out.data, length)));
}

/* AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH and says ENOENT without it; the magic link does not. */
static int64_t link_descriptor(int fd, int new_dirfd, const char *new_name) {
  char path[FD_PATH_SIZE];
  int64_t done = or_errno(linkat(fd, "", new_dirfd, new_name, AT_EMPTY_PATH));
  if (done != -ENOENT || fd < 0) return done;
  fd_path(path, fd);
  return or_errno(linkat(AT_FDCWD, path, new_dirfd, new_name, AT_SYMLINK_FOLLOW));
}

static napi_value sys_link(napi_env env, napi_callback_info info) {
  struct args a;
  char old_name[PATH_SIZE], new_name[PATH_SIZE];
  args_read(&a, env, info);
  int old_dirfd = arg_int(&a, 0);
  arg_path(&a, 1, old_name);
  int new_dirfd = arg_int(&a, 2);
  arg_path(&a, 3, new_name);
  if (args_bad(&a)) return args_refuse(&a);
  if (old_name[0] == '\0') return result(env, link_descriptor(old_dirfd, new_dirfd, new_name));
  return outcome(env, linkat(old_dirfd, old_name, new_dirfd, new_name, 0));
}

static napi_value sys_unlink(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  int flags = arg_int(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, unlinkat(dirfd, name, flags));
}

static napi_value sys_rename(napi_env env, napi_callback_info info) {
  struct args a;
  char old_name[PATH_SIZE], new_name[PATH_SIZE];
  args_read(&a, env, info);
  int old_dirfd = arg_int(&a, 0);
  arg_path(&a, 1, old_name);
  int new_dirfd = arg_int(&a, 2);
  arg_path(&a, 3, new_name);
  uint32_t flags = arg_uint(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, renameat2(old_dirfd, old_name, new_dirfd, new_name, flags));
}

/* What may go wrong afterwards with the times does not undo it: then the result is that errno, positive. */
static napi_value sys_publish(napi_env env, napi_callback_info info) {
  struct args a;
  char old_name[PATH_SIZE], new_name[PATH_SIZE];
  struct statx before;
  args_read(&a, env, info);
  int old_dirfd = arg_int(&a, 0);
  arg_path(&a, 1, old_name);
  int dirfd = arg_int(&a, 2);
  arg_path(&a, 3, new_name);
  if (args_bad(&a)) return args_refuse(&a);
  if (statx(dirfd, "", AT_EMPTY_PATH, STATX_ATIME | STATX_MTIME, &before) != 0) return result(env, -errno);
  int64_t done;
  if (old_name[0] == '\0') done = link_descriptor(old_dirfd, dirfd, new_name);
  else done = or_errno(renameat2(old_dirfd, old_name, dirfd, new_name, RENAME_NOREPLACE));
  if (done < 0) return result(env, done);
  return result(env, -set_times(dirfd, "", before.stx_atime, before.stx_mtime));
}

const struct function sys_names_functions[] = {
  {"readlink", sys_readlink},
  {"getdents", sys_getdents},
  {"link", sys_link},
  {"unlink", sys_unlink},
  {"rename", sys_rename},
  {"publish", sys_publish},
  {NULL, NULL},
};
