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

/* ---- what a thread keeps ---- */

void scratch_init(struct scratch *scratch) { *scratch = (struct scratch){.pipe = {-1, -1}}; }

static void drop_pipe(struct scratch *scratch) {
  for (int end = 0; end < 2; end++) {
    if (scratch->pipe[end] >= 0) close(scratch->pipe[end]);
    scratch->pipe[end] = -1;
  }
  scratch->pipe_room = 0;
}

void scratch_free(struct scratch *scratch) {
  drop_pipe(scratch);
  free(scratch->data);
  scratch_init(scratch);
}

static bool scratch_reserve(struct scratch *scratch, size_t size) {
  if (scratch->size >= size) return true;
  free(scratch->data);
  scratch->data = malloc(size);
  scratch->size = scratch->data == NULL ? 0 : size;
  return scratch->data != NULL;
}

/* A slot of the pipe holds one page, or the header; data may begin and end within a page. Only so many are safe to send before any is taken out. */
static int64_t room_of_pipe(int64_t capacity) { return capacity - 3 * sysconf(_SC_PAGESIZE); }

static bool pipe_reserve(struct scratch *scratch, int64_t length) {
  if (scratch->pipe_room >= length) return true;
  if (scratch->pipe[0] < 0 && pipe2(scratch->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    scratch->pipe[0] = scratch->pipe[1] = -1;
    return false;
  }
  int capacity = fcntl(scratch->pipe[1], F_GETPIPE_SZ);
  if (room_of_pipe(capacity) < length) {
    int wider = fcntl(scratch->pipe[1], F_SETPIPE_SZ, (int)(length + 3 * sysconf(_SC_PAGESIZE)));
    if (wider > 0) capacity = wider;
  }
  scratch->pipe_room = room_of_pipe(capacity);
  return scratch->pipe_room >= length;
}

/* ---- reads ---- */

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

/* Below this a copy is cheaper than two system calls more. */
enum { SPLICE_LEAST = 32 << 10 };

/*
 * Sends pages of the file's cache without a copy in between. Whether that was the answer: if not (the file ends before, an error, a file
 * system or a pipe that cannot), nothing was sent.
 */
static bool answer_by_pages(const struct job *job, struct scratch *scratch) {
  if (job->length < SPLICE_LEAST || !pipe_reserve(scratch, job->length)) return false;
  struct out_header header = {(uint32_t)(sizeof header + (size_t)job->length), 0, job->unique};
  bool complete = write(scratch->pipe[1], &header, sizeof header) == (ssize_t)sizeof header;
  loff_t offset = job->offset;
  int64_t left = job->length;
  while (complete && left > 0) {
    ssize_t count = TEMP_FAILURE_RETRY(splice(job->input, &offset, scratch->pipe[1], NULL, (size_t)left, 0));
    complete = count > 0;
    left -= count;
  }
  if (complete && splice(scratch->pipe[0], NULL, job->channel, NULL, header.length, 0) == (ssize_t)header.length) return true;
  drop_pipe(scratch); /* what is in it is nobody's */
  return false;
}

static void answer_read(struct addon *addon, const struct job *job, struct scratch *scratch) {
  if (answer_by_pages(job, scratch)) return;
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
