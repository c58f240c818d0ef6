/* Copying the data of regular files inside the kernel where it can, holes kept. */
#include "addon.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* copy_file_range(2) until `length` bytes, the end of the input, or an error after some bytes. */
int64_t copy_range(int input, int64_t in_offset, int output, int64_t out_offset, int64_t length) {
  int64_t done = 0;
  off64_t from = in_offset, to = out_offset;
  if (length < 0) return -EINVAL;
  do {
    ssize_t count = TEMP_FAILURE_RETRY(copy_file_range(input, &from, output, &to, (size_t)(length - done), 0));
    if (count < 0 && done == 0) return -errno;
    if (count <= 0) break;
    done += count;
  } while (done < length);
  return done;
}

/* A copy in progress. Once copy_file_range was refused, `buffer` is used instead. */
struct copy {
  int input;
  int output;
  bool in_kernel;
  char *buffer;
};

enum { BUFFER_SIZE = 256 * 1024 };

static bool refuses_in_kernel(int64_t error) {
  return error == -EXDEV || error == -EINVAL || error == -EOPNOTSUPP || error == -ENOSYS;
}

static int write_all(int fd, const char *data, size_t length, int64_t offset) {
  while (length > 0) {
    ssize_t count = TEMP_FAILURE_RETRY(pwrite(fd, data, length, offset));
    if (count < 0) return -errno;
    if (count == 0) return -EIO;
    data += count;
    length -= (size_t)count;
    offset += count;
  }
  return 0;
}

/* [from, to) through memory. An input that ends early was changed under us: EIO rather than a silent run of zeros. */
static int copy_through_memory(struct copy *copy, int64_t from, int64_t to) {
  if (copy->buffer == NULL) copy->buffer = malloc(BUFFER_SIZE);
  if (copy->buffer == NULL) return -ENOMEM;
  while (from < to) {
    size_t wanted = to - from < BUFFER_SIZE ? (size_t)(to - from) : (size_t)BUFFER_SIZE;
    ssize_t count = TEMP_FAILURE_RETRY(pread(copy->input, copy->buffer, wanted, from));
    if (count < 0) return -errno;
    if (count == 0) return -EIO;
    int written = write_all(copy->output, copy->buffer, (size_t)count, from);
    if (written < 0) return written;
    from += count;
  }
  return 0;
}

static int copy_extent(struct copy *copy, int64_t from, int64_t to) {
  while (copy->in_kernel && from < to) {
    int64_t count = copy_range(copy->input, from, copy->output, from, to - from);
    if (count < 0 && !refuses_in_kernel(count)) return (int)count;
    if (count <= 0) copy->in_kernel = false; /* 0: the end, or a file system that cannot tell; reading decides */
    if (count > 0) from += count;
  }
  return copy_through_memory(copy, from, to);
}

/* The next extent of data at or after `from`: 1 and its bounds, 0 when only a hole is left, -errno. */
static int next_extent(int fd, int64_t from, int64_t limit, int64_t *start, int64_t *end) {
  *start = lseek(fd, from, SEEK_DATA);
  if (*start < 0 && errno == ENXIO) return 0;
  if (*start < 0) {
    if (errno != EINVAL && errno != EOPNOTSUPP) return -errno;
    *start = from; /* no such question on this file system: everything is data */
    *end = limit;
    return 1;
  }
  if (*start >= limit) return 0;
  *end = lseek(fd, *start, SEEK_HOLE);
  if (*end < 0) return -errno;
  if (*end > limit || *end <= *start) *end = limit;
  return 1;
}

static int copy_extents(struct copy *copy, int64_t limit) {
  int64_t position = 0, start = 0, end = 0;
  while (position < limit) {
    int found = next_extent(copy->input, position, limit, &start, &end);
    if (found <= 0) return found;
    int copied = copy_extent(copy, start, end);
    if (copied < 0) return copied;
    position = end;
  }
  return 0;
}

/* The first `size` bytes of `input` (or all of it) into the empty file `output`. 0 or -errno. */
int copy_data(int input, int output, int64_t size) {
  struct stat source;
  struct copy copy = {.input = input, .output = output, .in_kernel = true};
  if (size < 0) return -EINVAL;
  if (fstat(input, &source) != 0) return -errno;
  int64_t limit = size < source.st_size ? size : source.st_size;
  if (limit > 0 && TEMP_FAILURE_RETRY(ioctl(output, FICLONE, input)) != 0) {
    int copied = copy_extents(&copy, limit);
    free(copy.buffer);
    if (copied < 0) return copied;
  }
  return (int)or_errno(TEMP_FAILURE_RETRY(ftruncate(output, limit)));
}
