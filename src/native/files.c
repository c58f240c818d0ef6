/* Writing files, many with one call: what is to be done to each is an order in a table, which is carried out here or by a job. */
#include "files.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Hashing belongs to the thread that has the content in its caches. Whoever calls has another way where the system has no libxxhash. */
static uint64_t (*xxh64)(const void *data, size_t length, uint64_t seed);

static void load(void) {
  void *library = dlopen("libxxhash.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library != NULL) *(void **)&xxh64 = dlsym(library, "XXH64");
}

struct files files_read(struct args *args, size_t index) {
  struct files files = {
    .table = arg_bytes(args, index),
    .count = arg_uint(args, index + 1),
    .names = arg_bytes(args, index + 2),
    .content = arg_bytes(args, index + 3),
  };
  if (files.count > files.table.length / sizeof(struct order) || (uintptr_t)files.table.data % _Alignof(struct order) != 0) args->error = -EINVAL;
  return files;
}

static bool is_sound(const struct files *files, const struct order *order) {
  const size_t most = files->content.length, names = files->names.length;
  if (order->length > most || order->start > most - order->length) return false;
  if ((order->steps & HASH) && xxh64 == NULL) return false;
  if (!(order->steps & CREATE)) return true;
  return (order->steps & CLOSE) && order->name < names && memchr(files->names.data + order->name, '\0', names - order->name) != NULL;
}

static int64_t put(int fd, const uint8_t *data, size_t length, int64_t offset) {
  for (size_t done = 0; done < length;) {
    ssize_t count = TEMP_FAILURE_RETRY(pwrite(fd, data + done, length - done, offset + (int64_t)done));
    if (count < 0) return -errno;
    done += (size_t)count;
  }
  return 0;
}

/* Once a step has failed, only CLOSE is done. */
static void take(struct order *order, enum step step, int64_t outcome) {
  if (outcome >= 0 || order->error != 0) return;
  order->error = (int32_t)outcome;
  order->failed = step;
}

static bool wants(const struct order *order, enum step step) { return (order->steps & step) && order->error == 0; }

static void carry_out(const struct files *files, struct order *order) {
  const int64_t offset = (int64_t)order->offset;
  const struct timespec time = {.tv_sec = (time_t)order->time, .tv_nsec = order->nsec}, times[2] = {time, time};
  int fd = order->fd;
  order->error = 0;
  if (!is_sound(files, order)) {
    take(order, order->steps & CREATE, -EINVAL);
    return;
  }
  if (wants(order, CREATE)) {
    const char *name = (const char *)files->names.data + order->name;
    fd = TEMP_FAILURE_RETRY(openat(order->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, (mode_t)order->mode & 0777));
    take(order, CREATE, or_errno(fd));
    if (fd < 0) return;
  }
  if (wants(order, WRITE)) take(order, WRITE, put(fd, files->content.data + order->start, order->length, offset));
  /* It makes nothing durable, and what cannot be written whoever syncs will hear. */
  if (wants(order, BEGIN_WRITEBACK)) (void)sync_file_range(fd, offset, order->length, SYNC_FILE_RANGE_WRITE);
  if (wants(order, OWNER)) take(order, OWNER, or_errno(fchown(fd, order->uid, order->gid)));
  if (wants(order, MODE)) take(order, MODE, or_errno(fchmod(fd, (mode_t)order->mode)));
  if (wants(order, TIME)) take(order, TIME, or_errno(futimens(fd, times)));
  if (order->steps & CLOSE) take(order, CLOSE, or_errno(close(fd)));
  if (wants(order, HASH)) order->hash = xxh64(files->content.data + order->start, order->length, 0);
}

int64_t files_make(const struct files *files) {
  struct order *orders = (void *)files->table.data;
  int64_t failed = 0;
  for (size_t i = 0; i < files->count; i++) {
    carry_out(files, &orders[i]);
    if (orders[i].error != 0 && failed == 0) failed = (int64_t)i + 1;
  }
  return failed;
}

static napi_value can_hash(napi_env env, napi_callback_info info) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)info;
  pthread_once(&once, load);
  return result(env, xxh64 != NULL);
}

static napi_value make_files(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct files files = files_read(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, files_make(&files));
}

const struct function files_functions[] = {
  {"makeFiles", make_files},
  {"canHash", can_hash},
  {NULL, NULL},
};
