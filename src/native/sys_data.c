/* The bytes of files. */
#include "addon.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

static napi_value sys_pread(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes out = arg_slice(&a, 1);
  int64_t offset = arg_long(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(pread(fd, out.data, out.length, offset)));
}

static napi_value sys_pread_nowait(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes out = arg_slice(&a, 1);
  int64_t offset = arg_long(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  if (offset < 0) return result(env, -EINVAL); /* preadv2 takes -1 as "at the file position" */
  struct iovec vector = {out.data, out.length};
  int64_t count = or_errno(TEMP_FAILURE_RETRY(preadv2(fd, &vector, 1, offset, RWF_NOWAIT)));
  return result(env, count == -EOPNOTSUPP || count == -ENOSYS ? -EAGAIN : count);
}

static napi_value sys_pwrite(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  struct bytes data = arg_slice(&a, 1);
  int64_t offset = arg_long(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  size_t done = 0;
  do {
    ssize_t count = TEMP_FAILURE_RETRY(pwrite(fd, data.data + done, data.length - done, offset + (int64_t)done));
    if (count < 0 && done == 0) return result(env, -errno);
    if (count <= 0) break;
    done += (size_t)count;
  } while (done < data.length);
  return result(env, (int64_t)done);
}

static napi_value sys_truncate(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int64_t size = arg_long(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(ftruncate(fd, size)));
}

static napi_value sys_fallocate(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int mode = arg_int(&a, 1);
  int64_t offset = arg_long(&a, 2);
  int64_t length = arg_long(&a, 3);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(fallocate(fd, mode, offset, length)));
}

static napi_value sys_lseek(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int64_t offset = arg_long(&a, 1);
  int whence = arg_int(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(lseek(fd, offset, whence)));
}

static napi_value sys_copy_file_range(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int input = arg_int(&a, 0);
  int64_t in_offset = arg_long(&a, 1);
  int output = arg_int(&a, 2);
  int64_t out_offset = arg_long(&a, 3);
  int64_t length = arg_long(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, copy_range(input, in_offset, output, out_offset, length));
}

static napi_value sys_copy_data(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int input = arg_int(&a, 0);
  int output = arg_int(&a, 1);
  int64_t size = arg_long(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, copy_data(input, output, size));
}

/* The three kinds of flushing take a descriptor and nothing else. */
static napi_value flush(napi_env env, napi_callback_info info, int (*call)(int)) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(call(fd)));
}

static napi_value sys_fsync(napi_env env, napi_callback_info info) { return flush(env, info, fsync); }
static napi_value sys_fdatasync(napi_env env, napi_callback_info info) { return flush(env, info, fdatasync); }
static napi_value sys_syncfs(napi_env env, napi_callback_info info) { return flush(env, info, syncfs); }

static napi_value sys_start_writeback(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  int fd = arg_int(&a, 0);
  int64_t offset = arg_long(&a, 1);
  int64_t length = arg_long(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  return outcome(env, TEMP_FAILURE_RETRY(sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE)));
}

const struct function sys_data_functions[] = {
  {"pread", sys_pread},
  {"preadNowait", sys_pread_nowait},
  {"pwrite", sys_pwrite},
  {"truncate", sys_truncate},
  {"fallocate", sys_fallocate},
  {"lseek", sys_lseek},
  {"copyFileRange", sys_copy_file_range},
  {"copyData", sys_copy_data},
  {"fsync", sys_fsync},
  {"fdatasync", sys_fdatasync},
  {"syncfs", sys_syncfs},
  {"startWriteback", sys_start_writeback},
  {NULL, NULL},
};
