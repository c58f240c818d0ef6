/* Native threads that work for one environment: the pool, its queue, and the completions. */
#include "jobs.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct list {
  struct job *first, **end;
};

/*
 * The lock guards `queue`, `ended`, `waiting` and `stopping`. The first thread is there from the start, the others begin when there is
 * a job that none of those would take at once: most mounts need few, and each costs memory.
 */
struct pool {
  struct addon *addon;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  struct list queue, ended;
  bool stopping;
  int waiting; /* idle threads, less the jobs that are queued for them; negative: jobs that wait for a thread */
  int count, most;
  int descriptors; /* how many the process is to have room for; 0 once a thread has seen to it */
  pthread_t *threads;
  uv_async_t async;
  napi_ref on_done;
  int due; /* jobs that will still call back: they keep the process alive. JavaScript's thread only. */
};

static void list_init(struct list *list) {
  list->first = NULL;
  list->end = &list->first;
}

static void list_append(struct list *list, struct job *job) {
  job->next = NULL;
  *list->end = job;
  list->end = &job->next;
}

static struct job *list_take(struct list *list) {
  struct job *job = list->first;
  if (job == NULL) return NULL;
  list->first = job->next;
  if (list->first == NULL) list->end = &list->first;
  return job;
}

/* ---- threads ---- */

/* The next job, or NULL when the pool stops and nothing is left. Called with the lock held. */
static struct job *next_job(struct pool *pool) {
  pool->waiting++;
  while (pool->queue.first == NULL && !pool->stopping) pthread_cond_wait(&pool->work, &pool->lock);
  return list_take(&pool->queue);
}

/*
 * The kernel grows the table of descriptors by doubling, and with several threads whoever needs the next one waits for an RCU grace
 * period, up to 20 ms. A thread that nobody waits for does it ahead. Failure costs time only.
 */
static void widen_descriptors(int count) {
  int low = open("/", O_PATH | O_CLOEXEC);
  int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, count - 1);
  if (high >= 0) close(high);
  if (low >= 0) close(low);
}

static void *work(void *data) {
  struct pool *pool = data;
  struct scratch scratch;
  struct job *job;
  scratch_init(&scratch);
  pthread_mutex_lock(&pool->lock);
  int descriptors = pool->descriptors;
  pool->descriptors = 0;
  pthread_mutex_unlock(&pool->lock);
  if (descriptors > 0) widen_descriptors(descriptors);
  pthread_mutex_lock(&pool->lock);
  while ((job = next_job(pool)) != NULL) {
    pthread_mutex_unlock(&pool->lock);
    job_run(pool->addon, job, &scratch);
    pthread_mutex_lock(&pool->lock);
    if (calls_back(job->kind)) {
      list_append(&pool->ended, job);
      atomic_fetch_add(&pool->addon->ended, 1);
      pthread_cond_signal(&pool->done);
      uv_async_send(&pool->async);
    } else {
      free(job);
    }
  }
  pthread_mutex_unlock(&pool->lock);
  scratch_free(&scratch);
  return NULL;
}

/* Signals are for the main thread, where Node handles them; a job's system calls are never interrupted by one. */
static int start_thread(struct pool *pool) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&pool->threads[pool->count], NULL, work, pool);
  if (error == 0) pool->count++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -error;
}

static void join_threads(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->count; i++) pthread_join(pool->threads[i], NULL);
  pool->count = 0;
}

/* ---- completions ---- */

static struct job *take_ended(struct pool *pool) {
  pthread_mutex_lock(&pool->lock);
  struct job *job = list_take(&pool->ended);
  pthread_mutex_unlock(&pool->lock);
  if (job == NULL) return NULL;
  atomic_fetch_sub(&pool->addon->ended, 1);
  if (--pool->due == 0) uv_unref((uv_handle_t *)&pool->async);
  return job;
}

static void make_done_arguments(napi_env env, struct job *job, napi_value *arguments) {
  napi_create_double(env, job->id, &arguments[0]);
  arguments[1] = result(env, job->result);
  free(job);
}

/*
 * From the event loop: each callback in a scope of its own; one that throws does not keep the others from being called.
 */
static void on_async(uv_async_t *handle) {
  struct pool *pool = handle->data;
  napi_env env = pool->addon->env;
  struct job *job;
  while ((job = take_ended(pool)) != NULL) {
    napi_handle_scope scope;
    napi_value arguments[2];
    if (napi_open_handle_scope(env, &scope) != napi_ok) {
      free(job);
      continue;
    }
    make_done_arguments(env, job, arguments);
    addon_call_from_loop(env, pool->on_done, 2, arguments);
    napi_close_handle_scope(env, scope);
  }
}

/*
 * From JavaScript: an exception goes to the caller, and what is still due stays due. Returns the number called, or -1.
 */
static int deliver(struct pool *pool) {
  napi_env env = pool->addon->env;
  struct job *job;
  int count = 0;
  while ((job = take_ended(pool)) != NULL) {
    napi_handle_scope scope;
    napi_value arguments[2], receiver, callback;
    napi_open_handle_scope(env, &scope);
    make_done_arguments(env, job, arguments);
    napi_get_global(env, &receiver);
    napi_get_reference_value(env, pool->on_done, &callback);
    napi_status status = napi_call_function(env, receiver, callback, 2, arguments, NULL);
    napi_close_handle_scope(env, scope);
    if (status != napi_ok) {
      uv_async_send(&pool->async);
      return -1;
    }
    count++;
  }
  return count;
}

/* ---- start and stop ---- */

static void free_pool(struct pool *pool) {
  struct job *job;
  while ((job = list_take(&pool->ended)) != NULL) free(job);
  pthread_mutex_destroy(&pool->lock);
  pthread_cond_destroy(&pool->work);
  pthread_cond_destroy(&pool->done);
  free(pool->threads);
  free(pool);
}

static void on_closed(uv_handle_t *handle) {
  struct pool *pool = handle->data;
  struct addon *addon = pool->addon;
  free_pool(pool);
  addon_handle_closed(addon);
}

/* Joins the threads and gives the pool up; completions nobody was told of are dropped. */
void jobs_close(struct addon *addon) {
  struct pool *pool = addon->pool;
  if (pool == NULL) return;
  join_threads(pool);
  addon->pool = NULL;
  atomic_store(&addon->ended, 0);
  napi_delete_reference(addon->env, pool->on_done);
  uv_close((uv_handle_t *)&pool->async, on_closed);
}

static struct pool *new_pool(struct addon *addon, int threads) {
  struct pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return NULL;
  pool->addon = addon;
  pool->most = threads;
  pool->threads = calloc((size_t)threads, sizeof *pool->threads);
  list_init(&pool->queue);
  list_init(&pool->ended);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  if (pool->threads != NULL) return pool;
  free_pool(pool);
  return NULL;
}

static int start_pool(struct addon *addon, struct pool *pool, napi_value on_done) {
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(addon->env, &loop) != napi_ok) return -EIO;
  if (napi_create_reference(addon->env, on_done, 1, &pool->on_done) != napi_ok) return -ENOMEM;
  int started = uv_async_init(loop, &pool->async, on_async);
  if (started < 0) {
    napi_delete_reference(addon->env, pool->on_done);
    return started;
  }
  pool->async.data = pool;
  uv_unref((uv_handle_t *)&pool->async);
  addon_handle_opened(addon);
  addon->pool = pool;
  return 0;
}

static napi_value jobs_start(napi_env env, napi_callback_info info) {
  struct args a;
  napi_valuetype type = napi_undefined;
  args_read(&a, env, info);
  int threads = arg_int(&a, 0);
  int descriptors = arg_int(&a, 2);
  napi_typeof(env, a.values[1], &type);
  if (type != napi_function) a.type_error = "a function was expected";
  if (args_bad(&a)) return args_refuse(&a);
  if (threads < 1 || threads > 256) return result(env, -EINVAL);
  if (a.addon->pool != NULL) return result(env, -EBUSY);
  struct pool *pool = new_pool(a.addon, threads);
  if (pool == NULL) return result(env, -ENOMEM);
  int started = start_pool(a.addon, pool, a.values[1]);
  if (started < 0) {
    free_pool(pool);
    return result(env, started);
  }
  pool->descriptors = descriptors;
  started = start_thread(pool);
  if (started < 0) jobs_close(a.addon);
  return result(env, started);
}

static napi_value jobs_stop(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct pool *pool = a.addon->pool;
  if (pool == NULL) return result(env, 0);
  join_threads(pool);
  int delivered = deliver(pool);
  if (a.addon->pool == pool) jobs_close(a.addon); /* unless a callback did */
  return delivered < 0 ? NULL : result(env, 0);
}

/* The counter itself, for whoever asks so often that a call would cost. The addon lives as long as its environment. */
static napi_value jobs_counter(napi_env env, napi_callback_info info) {
  _Static_assert(sizeof(atomic_int) == sizeof(int32_t), "an Int32Array shows it");
  struct args a;
  napi_value memory = NULL, counter = NULL;
  args_read(&a, env, info);
  napi_create_external_arraybuffer(env, &a.addon->ended, sizeof a.addon->ended, NULL, NULL, &memory);
  napi_create_typedarray(env, napi_int32_array, 1, memory, 0, &counter);
  return counter;
}

static napi_value jobs_poll(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  if (a.addon->pool == NULL) return result(env, 0);
  int delivered = deliver(a.addon->pool);
  return delivered < 0 ? NULL : result(env, delivered);
}

static napi_value jobs_wait(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct pool *pool = a.addon->pool;
  if (pool == NULL) return result(env, 0);
  pthread_mutex_lock(&pool->lock);
  while (atomic_load(&a.addon->ended) < pool->due) pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
  int delivered = deliver(pool);
  return delivered < 0 ? NULL : result(env, delivered);
}

/* ---- the queue ---- */

int jobs_queue(struct addon *addon, struct job *job) {
  struct pool *pool = addon->pool;
  if (pool == NULL || pool->stopping) return -ESHUTDOWN;
  if (calls_back(job->kind) && pool->due++ == 0) uv_ref((uv_handle_t *)&pool->async);
  pthread_mutex_lock(&pool->lock);
  list_append(&pool->queue, job);
  bool lacks_thread = --pool->waiting < 0;
  pthread_cond_signal(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  /* If there can be no more, those that run take it later. */
  if (lacks_thread && pool->count < pool->most) (void)start_thread(pool);
  return 0;
}

const struct function jobs_functions[] = {
  {"jobsStart", jobs_start},
  {"jobsStop", jobs_stop},
  {"jobsCounter", jobs_counter},
  {"jobsPoll", jobs_poll},
  {"jobsWait", jobs_wait},
  {NULL, NULL},
};
