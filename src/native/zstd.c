/*
 * Decompressing zstd by the system's libzstd, which is loaded when it is first wanted: neither the build nor a machine without such archives
 * needs it. What is declared here of its interface is the part that zstd.h calls stable.
 */
#include "zstd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct in_buffer {
  const void *data;
  size_t size, position;
};
struct out_buffer {
  void *data;
  size_t size, position;
};

static struct {
  bool loaded;
  void *(*create)(void);
  size_t (*release)(void *stream);
  size_t (*decompress)(void *stream, struct out_buffer *out, struct in_buffer *in);
  unsigned (*is_error)(size_t result);
  int (*error_code)(size_t result);
} zstd;

enum { ZSTD_ERROR_WINDOW_TOO_LARGE = 16, ZSTD_ERROR_MEMORY = 64 };

/*
 * Newer releases of Node export a zstd of their own, of another version: the library's calls of itself must not end there. The sanitizer, which
 * replaces functions of all libraries, refuses the flag.
 */
#ifdef __SANITIZE_ADDRESS__
enum { OWN_SYMBOLS = 0 };
#else
enum { OWN_SYMBOLS = RTLD_DEEPBIND };
#endif

static void load(void) {
  void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL | OWN_SYMBOLS);
  if (library == NULL) return;
  *(void **)&zstd.create = dlsym(library, "ZSTD_createDStream");
  *(void **)&zstd.release = dlsym(library, "ZSTD_freeDStream");
  *(void **)&zstd.decompress = dlsym(library, "ZSTD_decompressStream");
  *(void **)&zstd.is_error = dlsym(library, "ZSTD_isError");
  *(void **)&zstd.error_code = dlsym(library, "ZSTD_getErrorCode");
  zstd.loaded = zstd.create && zstd.release && zstd.decompress && zstd.is_error && zstd.error_code;
}

int zstd_start(void **stream) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!zstd.loaded) return -ENOSYS;
  *stream = zstd.create();
  return *stream == NULL ? -ENOMEM : 0;
}

void zstd_end(void *stream) { zstd.release(stream); }

static int errno_of(size_t error) {
  switch (zstd.error_code(error)) {
  case ZSTD_ERROR_WINDOW_TOO_LARGE:
    return E2BIG;
  case ZSTD_ERROR_MEMORY:
    return ENOMEM;
  default:
    return EBADMSG;
  }
}

int zstd_step(void *stream, struct bytes input, struct bytes output, size_t *read, size_t *written) {
  struct in_buffer in = {input.data, input.length, 0};
  struct out_buffer out = {output.data, output.length, 0};
  size_t more = zstd.decompress(stream, &out, &in);
  if (zstd.is_error(more)) return -errno_of(more);
  *read = in.position;
  *written = out.position;
  return more == 0 ? 0 : 1;
}

/* What JavaScript holds; `library` is NULL once it is closed. */
struct stream {
  void *library;
};

static void end_stream(napi_env env, void *data, void *hint) {
  struct stream *stream = data;
  (void)env;
  (void)hint;
  if (stream->library != NULL) zstd_end(stream->library);
  free(stream);
}

static struct stream *arg_stream(struct args *args, size_t index) {
  void *stream = NULL;
  if (napi_get_value_external(args->env, args->values[index], &stream) != napi_ok && args->type_error == NULL) {
    args->type_error = "a stream was expected";
  }
  return stream;
}

static napi_value zstd_open(napi_env env, napi_callback_info info) {
  napi_value value = NULL;
  (void)info;
  struct stream *stream = calloc(1, sizeof *stream);
  if (stream == NULL) return result(env, -ENOMEM);
  int started = zstd_start(&stream->library);
  if (started < 0) {
    free(stream);
    return result(env, started);
  }
  if (napi_create_external(env, stream, end_stream, NULL, &value) != napi_ok) {
    end_stream(env, stream, NULL);
    return result(env, -ENOMEM);
  }
  return value;
}

static napi_value zstd_decompress(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct stream *stream = arg_stream(&a, 0);
  struct bytes input = arg_slice(&a, 1);
  struct bytes output = arg_slice(&a, 4);
  struct bytes counts = arg_bytes(&a, 7);
  if (args_bad(&a)) return args_refuse(&a);
  if (stream->library == NULL) return result(env, -EBADF);
  if (counts.length < 2 * sizeof(uint32_t) || input.length > INT_MAX || output.length > INT_MAX) return result(env, -EINVAL);
  size_t read, written;
  int more = zstd_step(stream->library, input, output, &read, &written);
  if (more < 0) return result(env, more);
  const uint32_t moved[2] = {(uint32_t)read, (uint32_t)written};
  memcpy(counts.data, moved, sizeof moved);
  return result(env, more);
}

static napi_value zstd_close(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct stream *stream = arg_stream(&a, 0);
  if (args_bad(&a)) return args_refuse(&a);
  if (stream->library == NULL) return result(env, -EBADF);
  zstd_end(stream->library);
  stream->library = NULL;
  return result(env, 0);
}

const struct function zstd_functions[] = {
  {"zstdOpen", zstd_open},
  {"zstdDecompress", zstd_decompress},
  {"zstdClose", zstd_close},
  {NULL, NULL},
};
