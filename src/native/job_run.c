/* Running one job: copies, and requests whose answer goes to the kernel from here. */
#include "jobs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Closing may flush, which is slow on some file systems: it belongs to the thread that ran the job. */
void job_close_files(struct job *job) {
  int *fds[] = {&job->channel, &job->input, &job->output};
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
    if (*fds[i] >= 0) close(*fds[i]);
    *fds[i] = -1;
  }
}

struct out_header {
  uint32_t length;
  int32_t error;
  uint64_t unique;
};

/* The kernel accepts errors down to -511 only, and a refused answer would leave the caller waiting for ever. */
static int32_t errno_for_kernel(int64_t error) { return error < -511 ? -EIO : (int32_t)error; }

/* `message` has room for the header, then `length` bytes of payload. An error goes without payload. */
static void answer(struct addon *addon, const struct job *job, void *message, int64_t error, size_t length) {
  struct out_header header = {sizeof header, errno_for_kernel(error), job->unique};
  if (error == 0) header.length += (uint32_t)length;
  memcpy(message, &header, sizeof header);
  (void)channel_write(addon, job->channel, message, header.length);
}

static bool scratch_reserve(struct scratch *scratch, size_t size) {
  if (scratch->size >= size) return true;
  free(scratch->data);
  scratch->data = malloc(size);
  scratch->size = scratch->data == NULL ? 0 : size;
  return scratch->data != NULL;
}

/* Less than asked for means the end of the file to the kernel, so an error after some bytes is the answer, not they. */
static int64_t read_fully(int fd, uint8_t *data, int64_t length, int64_t offset) {
  int64_t done = 0;
  while (done < length) {
    ssize_t count = TEMP_FAILURE_RETRY(pread(fd, data + done, (size_t)(length - done), offset + done));
    if (count < 0) return -errno;
    if (count == 0) break;
    done += count;
  }
  return done;
}

static void answer_read(struct addon *addon, const struct job *job, struct scratch *scratch) {
  struct out_header error_only;
  if (!scratch_reserve(scratch, sizeof error_only + (size_t)job->length)) {
    answer(addon, job, &error_only, -ENOMEM, 0);
    return;
  }
  int64_t count = read_fully(job->input, scratch->data + sizeof error_only, job->length, job->offset);
  answer(addon, job, scratch->data, count < 0 ? count : 0, count < 0 ? 0 : (size_t)count);
}

static void answer_status(struct addon *addon, const struct job *job, int64_t status) {
  struct out_header message;
  answer(addon, job, &message, status < 0 ? status : 0, 0);
}

static int64_t run_sync(const struct job *job) {
  switch (job->mode) {
  case 0:
    return or_errno(TEMP_FAILURE_RETRY(fsync(job->input)));
  case 1:
    return or_errno(TEMP_FAILURE_RETRY(fdatasync(job->input)));
  default:
    return or_errno(TEMP_FAILURE_RETRY(syncfs(job->input)));
  }
}

static int64_t run_copy(const struct job *job) {
  int64_t status = copy_data(job->input, job->output, job->length);
  if (status == 0 && job->mode == 1) status = or_errno(TEMP_FAILURE_RETRY(fsync(job->output)));
  return status;
}

void job_run(struct addon *addon, struct job *job, struct scratch *scratch) {
  switch (job->kind) {
  case COPY:
    job->result = run_copy(job);
    break;
  case READ:
    answer_read(addon, job, scratch);
    break;
  case SYNC:
    answer_status(addon, job, run_sync(job));
    break;
  case FLUSH:
    job->result = run_sync(job);
    break;
  case FALLOCATE:
    job->result = or_errno(TEMP_FAILURE_RETRY(fallocate(job->input, job->mode, job->offset, job->length)));
    break;
  case COPY_RANGE:
    job->result = copy_range(job->input, job->offset, job->output, job->out_offset, job->length);
    break;
  case FILES:
    job->result = files_make(&job->files);
    break;
  }
  job_close_files(job);
}
