/*
 * Reading archives piece by piece, each on a thread of its own: read, decompressed, and their digests taken. SHA-256 is that of the OpenSSL which Node has
 * and shows to addons; whoever calls has another way where it does not.
 */
#include "zstd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUT = 256 * 1024, DIGEST = 32 };

static struct {
  bool loaded;
  void *(*create)(void);
  void (*release)(void *context);
  const void *(*sha256)(void);
  int (*begin)(void *context, const void *type, void *engine);
  int (*update)(void *context, const void *data, size_t length);
  int (*end)(void *context, uint8_t *digest, unsigned *length);
} evp;

static void load(void) {
  *(void **)&evp.create = dlsym(RTLD_DEFAULT, "EVP_MD_CTX_new");
  *(void **)&evp.release = dlsym(RTLD_DEFAULT, "EVP_MD_CTX_free");
  *(void **)&evp.sha256 = dlsym(RTLD_DEFAULT, "EVP_sha256");
  *(void **)&evp.begin = dlsym(RTLD_DEFAULT, "EVP_DigestInit_ex");
  *(void **)&evp.update = dlsym(RTLD_DEFAULT, "EVP_DigestUpdate");
  *(void **)&evp.end = dlsym(RTLD_DEFAULT, "EVP_DigestFinal_ex");
  evp.loaded = evp.create && evp.release && evp.sha256 && evp.begin && evp.update && evp.end;
}

enum { MOST_PIECES = 16 };

static bool has_digests(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return evp.loaded;
}

static napi_value can_read_archives(napi_env env, napi_callback_info info) {
  struct args a;
  void *stream;
  args_read(&a, env, info);
  const int is_zstd = arg_int(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  if (!has_digests()) return result(env, 0);
  if (is_zstd == 0) return result(env, 1);
  if (zstd_start(&stream) < 0) return result(env, 0);
  zstd_end(stream);
  return result(env, 1);
}

/* The lock guards `asked`, `count` and `stopping`; the digests and what is below them belong to the thread while it runs. */
struct archive {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  struct bytes asked[MOST_PIECES]; /* pieces to be filled, the first one first */
  size_t count;
  bool stopping;
  pthread_t thread;
  struct bytes memory;             /* in which the pieces lie, and what keeps it */
  napi_ref kept;
  bool has_thread; /* this and `env`: JavaScript's thread only */
  napi_env env;
  napi_threadsafe_function filled;
  void *source, *content; /* digests; `source` is NULL unless it is compressed */
  int fd;
  int64_t at, left; /* of the source */
  atomic_llong read; /* how much of it, for whoever asks meanwhile */
  int64_t error;    /* once something has failed: all that follows does */
  void *zstd;
  uint8_t *input; /* of the decompressor: `held` bytes, of which it has taken some */
  size_t taken, held;
  bool is_full; /* more may come out than there was room for */
  int more;     /* as zstd_step said it last */
};

/* Joins the thread: from then on no piece is touched. */
static void join(void *data) {
  struct archive *archive = data;
  archive->has_thread = false;
  pthread_mutex_lock(&archive->lock);
  archive->stopping = true;
  pthread_cond_signal(&archive->wake);
  pthread_mutex_unlock(&archive->lock);
  pthread_join(archive->thread, NULL);
  napi_release_threadsafe_function(archive->filled, napi_tsfn_abort);
}

static void stop(struct archive *archive) {
  if (!archive->has_thread) return;
  napi_remove_env_cleanup_hook(archive->env, join, archive);
  join(archive);
  napi_delete_reference(archive->env, archive->kept);
}

static void release(struct archive *archive) {
  stop(archive);
  if (archive->content != NULL) evp.release(archive->content);
  if (archive->source != NULL) evp.release(archive->source);
  if (archive->zstd != NULL) zstd_end(archive->zstd);
  pthread_cond_destroy(&archive->wake);
  pthread_mutex_destroy(&archive->lock);
  free(archive->input);
  free(archive);
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

static void *new_digest(void) {
  void *context = evp.create();
  if (context == NULL || evp.begin(context, evp.sha256(), NULL) == 1) return context;
  evp.release(context);
  return NULL;
}

static int prepare(struct archive *archive, bool is_zstd) {
  archive->content = new_digest();
  if (archive->content == NULL) return -ENOMEM;
  if (!is_zstd) return 0;
  archive->source = new_digest();
  archive->input = malloc(INPUT);
  /* 0 between two frames. */
  archive->more = 1;
  return archive->source == NULL || archive->input == NULL ? -ENOMEM : zstd_start(&archive->zstd);
}

/* ---- on a thread ---- */

static int64_t read_source(struct archive *archive, uint8_t *data, size_t most) {
  const size_t length = (int64_t)most < archive->left ? most : (size_t)archive->left;
  for (size_t done = 0; done < length;) {
    ssize_t count = TEMP_FAILURE_RETRY(pread(archive->fd, data + done, length - done, archive->at));
    if (count <= 0) return count < 0 ? -errno : -ENODATA;
    done += (size_t)count;
    archive->at += count;
    archive->left -= count;
    atomic_fetch_add(&archive->read, count);
  }
  if (archive->source != NULL && evp.update(archive->source, data, length) != 1) return -EIO;
  return (int64_t)length;
}

static int64_t decompress(struct archive *archive, struct bytes piece) {
  size_t used = 0;
  while (used < piece.length) {
    if (archive->taken == archive->held && !archive->is_full) {
      if (archive->left == 0) return archive->more > 0 ? -EPROTO : (int64_t)used;
      const int64_t held = read_source(archive, archive->input, INPUT);
      if (held < 0) return held;
      archive->taken = 0;
      archive->held = (size_t)held;
    }
    const struct bytes input = {archive->input + archive->taken, archive->held - archive->taken};
    const struct bytes output = {piece.data + used, piece.length - used};
    size_t read, written;
    archive->more = zstd_step(archive->zstd, input, output, &read, &written);
    if (archive->more < 0) return archive->more;
    archive->taken += read;
    used += written;
    archive->is_full = used == piece.length && archive->more > 0;
  }
  return (int64_t)used;
}

static int64_t fill(struct archive *archive, struct bytes piece) {
  if (archive->error < 0) return archive->error;
  int64_t length = archive->zstd != NULL ? decompress(archive, piece) : read_source(archive, piece.data, piece.length);
  if (length > 0 && evp.update(archive->content, piece.data, (size_t)length) != 1) length = -EIO;
  if (length < 0) archive->error = length;
  return length;
}

static void *work(void *data) {
  struct archive *archive = data;
  pthread_mutex_lock(&archive->lock);
  for (;;) {
    while (archive->count == 0 && !archive->stopping) pthread_cond_wait(&archive->wake, &archive->lock);
    if (archive->stopping) break;
    const struct bytes piece = archive->asked[0];
    archive->count--;
    memmove(archive->asked, archive->asked + 1, archive->count * sizeof piece);
    pthread_mutex_unlock(&archive->lock);
    const int64_t length = fill(archive, piece);
    (void)napi_call_threadsafe_function(archive->filled, (void *)(intptr_t)length, napi_tsfn_nonblocking);
    pthread_mutex_lock(&archive->lock);
  }
  pthread_mutex_unlock(&archive->lock);
  return NULL;
}

/* ---- JavaScript's thread ---- */

/* An exception in it is Node's to report. */
static void tell(napi_env env, napi_value callback, void *context, void *data) {
  napi_value receiver, length;
  (void)context;
  if (env == NULL) return;
  length = result(env, (intptr_t)data);
  napi_get_undefined(env, &receiver);
  (void)napi_call_function(env, receiver, callback, 1, &length, NULL);
}

/* Signals are for the main thread, where Node handles them. */
static int start(struct archive *archive, napi_env env, napi_value memory, napi_value callback) {
  napi_value name;
  sigset_t all, before;
  if (napi_create_string_latin1(env, "cowfs", NAPI_AUTO_LENGTH, &name) != napi_ok) return -ENOMEM;
  if (napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, NULL, tell, &archive->filled) != napi_ok) return -ENOMEM;
  if (napi_create_reference(env, memory, 1, &archive->kept) != napi_ok) {
    napi_release_threadsafe_function(archive->filled, napi_tsfn_abort);
    return -ENOMEM;
  }
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&archive->thread, NULL, work, archive);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error != 0) {
    napi_release_threadsafe_function(archive->filled, napi_tsfn_abort);
    napi_delete_reference(env, archive->kept);
    return -error;
  }
  archive->has_thread = true;
  archive->env = env;
  /* Hooks are run backwards: the thread is gone before Node takes away what it calls. */
  napi_add_env_cleanup_hook(env, join, archive);
  return 0;
}

static napi_value archive_open(napi_env env, napi_callback_info info) {
  struct args a;
  napi_valuetype type = napi_undefined;
  napi_value value = NULL;
  args_read(&a, env, info);
  const int fd = arg_int(&a, 0), is_zstd = arg_int(&a, 3);
  const int64_t at = arg_long(&a, 1), length = arg_long(&a, 2);
  const struct bytes memory = arg_bytes(&a, 4);
  napi_typeof(env, a.values[5], &type);
  if (type != napi_function) a.type_error = "a function was expected";
  if (args_bad(&a)) return args_refuse(&a);
  if (at < 0 || length < 0) return result(env, -EINVAL);
  if (!has_digests()) return result(env, -ENOSYS);
  struct archive *archive = calloc(1, sizeof *archive);
  if (archive == NULL) return result(env, -ENOMEM);
  pthread_mutex_init(&archive->lock, NULL);
  pthread_cond_init(&archive->wake, NULL);
  archive->fd = fd;
  archive->at = at;
  archive->left = length;
  archive->memory = memory;
  int started = prepare(archive, is_zstd != 0);
  if (started == 0) started = start(archive, env, a.values[4], a.values[5]);
  if (started == 0 && napi_create_external(env, archive, finalize, NULL, &value) == napi_ok) return value;
  release(archive);
  return result(env, started < 0 ? started : -ENOMEM);
}

static struct archive *arg_archive(struct args *args, size_t index) {
  void *archive = NULL;
  if (napi_get_value_external(args->env, args->values[index], &archive) != napi_ok && args->type_error == NULL) args->type_error = "an archive was expected";
  return archive;
}

static napi_value archive_fill(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct archive *archive = arg_archive(&a, 0);
  const int64_t from = arg_long(&a, 1), length = arg_long(&a, 2);
  if (args_bad(&a)) return args_refuse(&a);
  if (!archive->has_thread) return result(env, -EBADF);
  const int64_t most = (int64_t)archive->memory.length;
  if (from < 0 || length < 1 || from > most || length > most - from || length > INT_MAX) return result(env, -EINVAL);
  const struct bytes piece = {archive->memory.data + from, (size_t)length};
  pthread_mutex_lock(&archive->lock);
  const bool has_room = archive->count < MOST_PIECES;
  if (has_room) archive->asked[archive->count++] = piece;
  pthread_cond_signal(&archive->wake);
  pthread_mutex_unlock(&archive->lock);
  return result(env, has_room ? 0 : -ENOSPC);
}

static napi_value archive_read(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct archive *archive = arg_archive(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  return result(env, atomic_load(&archive->read));
}

static napi_value archive_close(napi_env env, napi_callback_info info) {
  struct args a;
  unsigned length;
  args_read(&a, env, info);
  struct archive *archive = arg_archive(&a, 0);
  struct bytes out = arg_bytes(&a, 1);
  if (args_bad(&a)) return args_refuse(&a);
  if (!archive->has_thread) return result(env, -EBADF);
  if (out.length != 2 * DIGEST) return result(env, -EINVAL);
  stop(archive);
  if (archive->error < 0) return result(env, archive->error);
  if (evp.end(archive->content, out.data, &length) != 1) return result(env, -EIO);
  if (archive->source == NULL) return result(env, 1);
  return result(env, evp.end(archive->source, out.data + DIGEST, &length) == 1 ? 2 : -EIO);
}

const struct function archive_functions[] = {
  {"canReadArchives", can_read_archives},
  {"archiveOpen", archive_open},
  {"archiveFill", archive_fill},
  {"archiveRead", archive_read},
  {"archiveClose", archive_close},
  {NULL, NULL},
};
