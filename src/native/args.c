/* Reading the arguments of a call and making its result. */
#include "addon.h"

#include <stdio.h>
#include <string.h>

void args_read(struct args *args, napi_env env, napi_callback_info info) {
  size_t count = ARGS_MAX;
  void *data = NULL;
  napi_get_cb_info(env, info, &count, args->values, NULL, &data);
  args->env = env;
  args->addon = data;
  args->type_error = NULL;
  args->error = 0;
}

static void complain(struct args *args, const char *message) {
  if (args->type_error == NULL) args->type_error = message;
}

static void fail(struct args *args, int error) {
  if (args->error == 0) args->error = -error;
}

int32_t arg_int(struct args *args, size_t index) {
  int32_t value = 0;
  if (napi_get_value_int32(args->env, args->values[index], &value) != napi_ok) complain(args, "a number was expected");
  return value;
}

uint32_t arg_uint(struct args *args, size_t index) {
  uint32_t value = 0;
  if (napi_get_value_uint32(args->env, args->values[index], &value) != napi_ok) complain(args, "a number was expected");
  return value;
}

int64_t arg_long(struct args *args, size_t index) {
  int64_t value = 0;
  if (napi_get_value_int64(args->env, args->values[index], &value) != napi_ok) complain(args, "a number was expected");
  return value;
}

void arg_path(struct args *args, size_t index, char *buffer) { arg_text(args, index, buffer, PATH_SIZE); }

void arg_text(struct args *args, size_t index, char *buffer, size_t size) {
  size_t length = 0;
  buffer[0] = '\0';
  if (napi_get_value_string_latin1(args->env, args->values[index], buffer, size, &length) != napi_ok) {
    complain(args, "a string was expected");
  } else if (length >= size - 1) {
    fail(args, ENAMETOOLONG);
  } else if (memchr(buffer, '\0', length) != NULL) {
    fail(args, EINVAL);
  }
}

struct bytes arg_bytes(struct args *args, size_t index) {
  napi_typedarray_type type = napi_int8_array;
  struct bytes bytes = {NULL, 0};
  void *data = NULL;
  size_t length = 0;
  napi_status status = napi_get_typedarray_info(args->env, args->values[index], &type, &length, &data, NULL, NULL);
  if (status != napi_ok || type != napi_uint8_array) {
    complain(args, "a Uint8Array was expected");
    return bytes;
  }
  bytes.data = data;
  bytes.length = length;
  return bytes;
}

struct bytes arg_slice(struct args *args, size_t index) {
  struct bytes whole = arg_bytes(args, index);
  int64_t start = arg_long(args, index + 1);
  int64_t length = arg_long(args, index + 2);
  struct bytes none = {NULL, 0};
  if (args_bad(args)) return none;
  if (start < 0 || length < 0 || start > (int64_t)whole.length || length > (int64_t)whole.length - start) {
    fail(args, EINVAL);
    return none;
  }
  struct bytes slice = {length == 0 ? whole.data : whole.data + start, (size_t)length};
  return slice;
}

napi_value args_refuse(struct args *args) {
  if (args->type_error == NULL) return result(args->env, args->error);
  napi_throw_type_error(args->env, NULL, args->type_error);
  return NULL;
}

napi_value result(napi_env env, int64_t value) {
  napi_value number = NULL;
  if (value >= INT32_MIN && value <= INT32_MAX) {
    napi_create_int32(env, (int32_t)value, &number);
  } else {
    napi_create_int64(env, value, &number);
  }
  return number;
}

void fd_path(char *buffer, int fd) { snprintf(buffer, FD_PATH_SIZE, "/proc/self/fd/%d", fd); }
