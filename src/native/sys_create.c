/* Creating objects that belong to another user, without giving up the driver's own permissions. */
#include "addon.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct capabilities {
  struct __user_cap_header_struct header;
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
};

/* Who the process is, as it was when the module was loaded, or has dropped a capability since. */
static struct {
  uid_t uid;
  gid_t gid;
  bool all_effective; /* no permitted capability is missing: going back to root restores the set by itself */
  struct capabilities capabilities;
} own;

static void read_identity(void) {
  own.uid = geteuid();
  own.gid = getegid();
  own.capabilities.header.version = _LINUX_CAPABILITY_VERSION_3;
  own.all_effective = true;
  if (syscall(SYS_capget, &own.capabilities.header, own.capabilities.sets) != 0) return;
  for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
    if (own.capabilities.sets[i].effective != own.capabilities.sets[i].permitted) own.all_effective = false;
  }
}

void identity_init(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, read_identity);
}

static void restore_capabilities(void) {
  struct capabilities copy = own.capabilities; /* the kernel may write to the header */
  (void)syscall(SYS_capset, &copy.header, copy.sets);
}

/* Ids of the calling thread only: setfsuid(2), setfsgid(2) and capset(2) are per thread in the kernel and in glibc. */
static void become_self(void) {
  setfsuid(own.uid);
  setfsgid(own.gid);
  if (!own.all_effective) restore_capabilities();
}

/* setfsuid(2) reports no failure: an id that is not valid leaves the old one, so it is asked for afterwards. */
static int become(uint32_t uid, uint32_t gid) {
  const uint32_t ask = UINT32_MAX;
  if (uid == own.uid && gid == own.gid) return 0;
  setfsgid(gid);
  setfsuid(uid);
  if ((uint32_t)setfsgid(ask) != gid || (uint32_t)setfsuid(ask) != uid) {
    become_self();
    return -EPERM;
  }
  /* Leaving uid 0 took the file system capabilities out of the effective set. */
  restore_capabilities();
  return 0;
}

/* Keeps the errno of the creation over the way back. */
static int64_t finish(int64_t created, uint32_t uid, uint32_t gid) {
  int64_t done = or_errno(created);
  if (uid != own.uid || gid != own.gid) become_self();
  return done;
}

static napi_value sys_open_as(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  int flags = arg_int(&a, 2) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
  uint32_t mode = arg_uint(&a, 3);
  uint32_t uid = arg_uint(&a, 4);
  uint32_t gid = arg_uint(&a, 5);
  if (args_bad(&a)) return args_refuse(&a);
  int refused = become(uid, gid);
  if (refused != 0) return result(env, refused);
  return result(env, finish(TEMP_FAILURE_RETRY(openat(dirfd, name, flags, (mode_t)mode)), uid, gid));
}

static napi_value sys_mkdir_as(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  uint32_t mode = arg_uint(&a, 2);
  uint32_t uid = arg_uint(&a, 3);
  uint32_t gid = arg_uint(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  int refused = become(uid, gid);
  if (refused != 0) return result(env, refused);
  return result(env, finish(mkdirat(dirfd, name, (mode_t)mode), uid, gid));
}

static napi_value sys_mknod_as(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE];
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  uint32_t mode = arg_uint(&a, 2);
  dev_t device = makedev(arg_uint(&a, 3), arg_uint(&a, 4));
  uint32_t uid = arg_uint(&a, 5);
  uint32_t gid = arg_uint(&a, 6);
  if (args_bad(&a)) return args_refuse(&a);
  int refused = become(uid, gid);
  if (refused != 0) return result(env, refused);
  return result(env, finish(mknodat(dirfd, name, (mode_t)mode, device), uid, gid));
}

static napi_value sys_symlink_as(napi_env env, napi_callback_info info) {
  struct args a;
  char target[PATH_SIZE], name[PATH_SIZE];
  args_read(&a, env, info);
  arg_path(&a, 0, target);
  int dirfd = arg_int(&a, 1);
  arg_path(&a, 2, name);
  uint32_t uid = arg_uint(&a, 3);
  uint32_t gid = arg_uint(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  int refused = become(uid, gid);
  if (refused != 0) return result(env, refused);
  return result(env, finish(symlinkat(target, dirfd, name), uid, gid));
}

/* Makes the new file `fd` what `like` says, with no call for what it is already. `made` is the file as it was created. */
static int64_t liken(int fd, const struct statx *like, struct statx *made) {
  const mode_t bits = 07777;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, made) != 0) return -errno;
  bool owned = made->stx_uid == like->stx_uid && made->stx_gid == like->stx_gid;
  if (!owned && fchown(fd, like->stx_uid, like->stx_gid) != 0) return -errno;
  if (like->stx_size > 0 && ftruncate(fd, (off_t)like->stx_size) != 0) return -errno;
  /* Both drop set-id bits, truncation unless CAP_FSETID is that of the first user namespace: so these come last. */
  if (((made->stx_mode ^ like->stx_mode) & bits) != 0 && fchmod(fd, like->stx_mode & bits) != 0) return -errno;
  return set_times(fd, "", like->stx_atime, like->stx_mtime);
}

/* An attribute whose name is "" is none. */
static int64_t set_attribute(int fd, const char *attribute, struct bytes value) {
  return attribute[0] == '\0' ? 0 : or_errno(fsetxattr(fd, attribute, value.data, value.length, 0));
}

static napi_value sys_create_alike(napi_env env, napi_callback_info info) {
  struct args a;
  char name[PATH_SIZE], first[XATTR_NAME_MAX + 2], second[XATTR_NAME_MAX + 2];
  struct statx like, made;
  args_read(&a, env, info);
  int dirfd = arg_int(&a, 0);
  arg_path(&a, 1, name);
  struct bytes in = arg_bytes(&a, 2);
  struct bytes out = arg_bytes(&a, 3);
  arg_text(&a, 4, first, sizeof first);
  struct bytes first_value = arg_bytes(&a, 5);
  arg_text(&a, 6, second, sizeof second);
  struct bytes second_value = arg_bytes(&a, 7);
  if (args_bad(&a)) return args_refuse(&a);
  if (in.length < sizeof like || out.length < sizeof made) return result(env, -EINVAL);
  memcpy(&like, in.data, sizeof like);
  bool named = name[0] != '\0';
  int how = named ? O_CREAT | O_EXCL | O_NOFOLLOW : O_TMPFILE;
  int fd = TEMP_FAILURE_RETRY(openat(dirfd, named ? name : ".", how | O_RDWR | O_CLOEXEC | O_NOCTTY, like.stx_mode & 0777));
  if (fd < 0) return result(env, -errno);
  int64_t done = liken(fd, &like, &made);
  if (done == 0) done = set_attribute(fd, first, first_value);
  if (done == 0) done = set_attribute(fd, second, second_value);
  if (done == 0) {
    memcpy(out.data, &made, sizeof made);
    return result(env, fd);
  }
  close(fd);
  if (named) unlinkat(dirfd, name, 0);
  return result(env, done);
}

/* Out of the effective set only: of this thread, and of those that it makes from now on. */
static napi_value sys_drop_capability(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  uint32_t capability = arg_uint(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  struct capabilities now = {.header.version = _LINUX_CAPABILITY_VERSION_3};
  if (capability > CAP_LAST_CAP) return result(env, -EINVAL);
  if (syscall(SYS_capget, &now.header, now.sets) != 0) return result(env, -errno);
  now.sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
  int64_t done = or_errno(syscall(SYS_capset, &now.header, now.sets));
  if (done == 0) read_identity();
  return result(env, done);
}

const struct function sys_create_functions[] = {
  {"openAs", sys_open_as},
  {"createAlike", sys_create_alike},
  {"mkdirAs", sys_mkdir_as},
  {"mknodAs", sys_mknod_as},
  {"symlinkAs", sys_symlink_as},
  {"dropCapability", sys_drop_capability},
  {NULL, NULL},
};
