/* Attributes of one object, named by a directory descriptor and a name ("" is the descriptor's own object). */
#include "addon.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#endif

/* Never follow the last component; with "" the descriptor itself, O_PATH or not. */
static int at_flags(const char *name) { return AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0); }

static napi_value sys_statx(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  uint32_t mask = arg_uint(&a, 2);
  struct bytes out = arg_bytes(&a, 3);
  if (args_bad(&a)) return args_refuse(&a);
  if (out.length < sizeof(struct statx)) return result(env, -EINVAL);
  return outcome(env, syscall(SYS_statx, dirfd, name, at_flags(name) | AT_NO_AUTOMOUNT, mask, out.data));
}

static napi_value sys_statfs(napi_env env, napi_callback_info info) {
  struct args a;
  struct statfs buffer;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes out = arg_bytes(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  if (out.length < sizeof buffer) return result(env, -EINVAL);
  int64_t done = or_errno(TEMP_FAILURE_RETRY(fstatfs(fd, &buffer)));
  if (done == 0) memcpy(out.data, &buffer, sizeof buffer);
  return result(env, done);
}

/* chmod(2) follows /proc/self/fd/N to the object and no further, but refuses symbolic links in a different way. */
static int64_t chmod_descriptor(int fd, mode_t mode) {
  struct stat attributes;
  char path[FD_PATH_SIZE];
  if (fstat(fd, &attributes) != 0) return -errno;
  if (S_ISLNK(attributes.st_mode)) return -EOPNOTSUPP;
  fd_path(path, fd);
  return or_errno(chmod(path, mode));
}

/* For kernels older than 6.6. */
static int64_t chmod_by_descriptor(int dirfd, const char *name, mode_t mode) {
  if (name[0] == '\0') return chmod_descriptor(dirfd, mode);
  int fd = (int)TEMP_FAILURE_RETRY(openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (fd < 0) return -errno;
  int64_t done = chmod_descriptor(fd, mode);
  close(fd);
  return done;
}

static napi_value sys_chmod(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  uint32_t mode = arg_uint(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  int64_t done = or_errno(syscall(SYS_fchmodat2, dirfd, name, mode, at_flags(name)));
  if (done == -ENOSYS) done = chmod_by_descriptor(dirfd, name, (mode_t)mode);
  return result(env, done);
}

static napi_value sys_chown(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  uint32_t uid = arg_uint(&a, 2);
  uint32_t gid = arg_uint(&a, 3);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, fchownat(dirfd, name, uid, gid, at_flags(name)));
}

static int64_t change_times(int dirfd, const char *name, const struct timespec times[2]) {
  int64_t done = or_errno(utimensat(dirfd, name, times, at_flags(name)));
  if (done != -EINVAL || name[0] != '\0') return done;
  char path[FD_PATH_SIZE]; /* before Linux 5.8 there was no AT_EMPTY_PATH here */
  fd_path(path, dirfd);
  return or_errno(utimensat(AT_FDCWD, path, times, 0));
}

int64_t set_times(int dirfd, const char *name, struct statx_timestamp atime, struct statx_timestamp mtime) {
  const struct timespec times[2] = {
    {.tv_sec = atime.tv_sec, .tv_nsec = atime.tv_nsec},
    {.tv_sec = mtime.tv_sec, .tv_nsec = mtime.tv_nsec},
  };
  return change_times(dirfd, name, times);
}

static napi_value sys_utimens(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  struct timespec times[2];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  times[0].tv_sec = arg_long(&a, 2);
  times[0].tv_nsec = arg_long(&a, 3);
  times[1].tv_sec = arg_long(&a, 4);
  times[1].tv_nsec = arg_long(&a, 5);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, change_times(dirfd, name, times));
}

/*
 * A command states the size of its argument; some (FS_IOC_GETFLAGS) touch less, so a shorter buffer goes through a
 * copy.
 */
static napi_value sys_ioctl(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  uint32_t command = arg_uint(&a, 1);
  struct bytes data = arg_bytes(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  if (data.length >= _IOC_SIZE(command)) return outcome(env, TEMP_FAILURE_RETRY(ioctl(fd, command, data.data)));
  uint8_t copy[1 << _IOC_SIZEBITS] = {0};
  if (data.length > 0) memcpy(copy, data.data, data.length);
  int64_t done = or_errno(TEMP_FAILURE_RETRY(ioctl(fd, command, copy)));
  if (data.length > 0) memcpy(data.data, copy, data.length);
  return result(env, done);
}

static napi_value sys_xflags(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  struct { /* struct file_attr, which older headers lack */
    uint64_t xflags;
    uint32_t extent_size, extents, project, copy_extent_size;
  } attributes = {0};
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  if (args_bad(&a)) return args_refuse(&a);
  int64_t done = or_errno(syscall(SYS_file_getattr, dirfd, name, &attributes, sizeof attributes, at_flags(name)));
  return result(env, done < 0 ? done : (int64_t)(uint32_t)attributes.xflags);
}

static napi_value sys_name_to_handle(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  int mount_id;
  union {
    struct file_handle handle;
    uint8_t bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } buffer = {.bytes = {0}};
  const size_t head = sizeof(struct file_handle);
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  struct bytes out = arg_bytes(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  if (out.length < head) return result(env, -EINVAL);
  size_t room = out.length - head;
  buffer.handle.handle_bytes = (unsigned)(room < MAX_HANDLE_SZ ? room : MAX_HANDLE_SZ);
  int flags = name[0] == '\0' ? AT_EMPTY_PATH : 0; /* this call does not follow by default */
  int64_t done = or_errno(name_to_handle_at(dirfd, name, &buffer.handle, &mount_id, flags));
  if (done < 0) return result(env, done);
  size_t used = head + buffer.handle.handle_bytes;
  memcpy(out.data, buffer.bytes, used);
  return result(env, (int64_t)used);
}

static napi_value sys_open_by_handle(napi_env env, napi_callback_info info) {
  struct args a;
  union {
    struct file_handle handle;
    uint8_t bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } buffer = {.bytes = {0}};
  args_read(&a, env, info);
  int mount_fd = arg_int(&a, 0);
  struct bytes handle = arg_bytes(&a, 1);
  int flags = arg_int(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  if (handle.length < sizeof(struct file_handle) || handle.length > sizeof buffer) return result(env, -EINVAL);
  memcpy(buffer.bytes, handle.data, handle.length);
  if (buffer.handle.handle_bytes > handle.length - sizeof(struct file_handle)) return result(env, -EINVAL);
  return outcome(env, TEMP_FAILURE_RETRY(open_by_handle_at(mount_fd, &buffer.handle, flags | O_CLOEXEC | O_NOCTTY)));
}

const struct function sys_attributes_functions[] = {
  {"statx", sys_statx},
  {"statfs", sys_statfs},
  {"chmod", sys_chmod},
  {"chown", sys_chown},
  {"utimens", sys_utimens},
  {"ioctl", sys_ioctl},
  {"xflags", sys_xflags},
  {"nameToHandle", sys_name_to_handle},
  {"openByHandle", sys_open_by_handle},
  {NULL, NULL},
};
