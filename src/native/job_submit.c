/* The functions that start jobs: a request from JavaScript becomes a job that owns what it needs. */
#include "jobs.h"

#include <fcntl.h>
#include <stdlib.h>

static int duplicate(int fd, int *copy) {
  *copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return *copy < 0 ? -errno : 0;
}

/* Queues a copy of `request` that owns duplicates of the descriptors that its kind has. 0, or -errno and nothing was queued. */
static int submit(struct addon *addon, const struct job *request) {
  struct job *job = malloc(sizeof *job);
  if (job == NULL) return -ENOMEM;
  *job = *request;
  job->channel = job->input = job->output = -1;
  int error = request->kind == FILES ? 0 : duplicate(request->input, &job->input);
  if (error == 0 && !calls_back(request->kind)) error = duplicate(request->channel, &job->channel);
  if (error == 0 && (request->kind == COPY || request->kind == COPY_RANGE)) {
    error = duplicate(request->output, &job->output);
  }
  if (error == 0) error = jobs_queue(addon, job);
  if (error == 0) return 0;
  job_close_files(job);
  free(job);
  return error;
}

/* The arguments every job that calls back begins with: id, input. */
static struct job read_job(struct args *args, napi_env env, enum kind kind) {
  struct job job = {.kind = kind};
  if (napi_get_value_double(env, args->values[0], &job.id) != napi_ok) args->type_error = "a number was expected";
  job.input = arg_int(args, 1);
  return job;
}

static napi_value job_copy(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct job job = read_job(&a, env, COPY);
  job.output = arg_int(&a, 2);
  job.length = arg_long(&a, 3);
  job.mode = arg_int(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, submit(a.addon, &job));
}

/* The arguments every self-answering job begins with: channel, uniqueLow, uniqueHigh, file. */
static struct job read_request(struct args *args, enum kind kind) {
  struct job job = {.kind = kind, .channel = arg_int(args, 0)};
  job.unique = arg_uint(args, 1) | (uint64_t)arg_uint(args, 2) << 32;
  job.input = arg_int(args, 3);
  return job;
}

static napi_value job_read(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct job job = read_request(&a, READ);
  job.offset = arg_long(&a, 4);
  job.length = arg_long(&a, 5);
  if (args_bad(&a)) return args_refuse(&a);
  if (job.length < 0 || job.length > INT_MAX) return result(env, -EINVAL);
  return result(env, submit(a.addon, &job));
}

static napi_value job_sync(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct job job = read_request(&a, SYNC);
  job.mode = arg_int(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  if (job.mode < 0 || job.mode > 2) return result(env, -EINVAL);
  return result(env, submit(a.addon, &job));
}

static napi_value job_flush(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct job job = read_job(&a, env, FLUSH);
  job.mode = arg_int(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  if (job.mode < 0 || job.mode > 2) return result(env, -EINVAL);
  return result(env, submit(a.addon, &job));
}

static napi_value job_fallocate(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct job job = read_job(&a, env, FALLOCATE);
  job.mode = arg_int(&a, 2);
  job.offset = arg_long(&a, 3);
  job.length = arg_long(&a, 4);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, submit(a.addon, &job));
}

/* The kernel counts an answer in 32 bits, so a longer copy is cut short, as copy_file_range may; whole pages, as it does. */
static napi_value job_copy_range(napi_env env, napi_callback_info info) {
  const int64_t most = 0xfffff000;
  struct args a;
  args_read(&a, env, info);
  struct job job = read_job(&a, env, COPY_RANGE);
  job.offset = arg_long(&a, 2);
  job.output = arg_int(&a, 3);
  job.out_offset = arg_long(&a, 4);
  job.length = arg_long(&a, 5);
  if (args_bad(&a)) return args_refuse(&a);
  if (job.length > most) job.length = most;
  return result(env, submit(a.addon, &job));
}

static napi_value job_files(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct job job = {.kind = FILES, .input = -1};
  if (napi_get_value_double(env, a.values[0], &job.id) != napi_ok) a.type_error = "a number was expected";
  job.files = files_read(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, submit(a.addon, &job));
}

const struct function job_submit_functions[] = {
  {"jobCopy", job_copy},
  {"jobRead", job_read},
  {"jobSync", job_sync},
  {"jobFlush", job_flush},
  {"jobFallocate", job_fallocate},
  {"jobCopyRange", job_copy_range},
  {"jobFiles", job_files},
  {NULL, NULL},
};
