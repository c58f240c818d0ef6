/* Module start and end: exports the tables of functions, owns the state of an environment. */
#include "addon.h"

#include <stdlib.h>

static const struct function *const tables[] = {
  sys_open_functions, sys_attributes_functions, sys_xattr_functions, sys_names_functions, sys_create_functions,
  sys_data_functions, files_functions, tar_functions, sys_mount_functions, sys_process_functions, channel_functions, jobs_functions, job_submit_functions, zstd_functions, archive_functions,
};

void addon_handle_opened(struct addon *addon) { addon->open_handles++; }

static void finish_if_closed(struct addon *addon) {
  if (addon->cleanup == NULL || addon->open_handles > 0) return;
  napi_remove_async_cleanup_hook(addon->cleanup);
  free(addon);
}

void addon_handle_closed(struct addon *addon) {
  addon->open_handles--;
  finish_if_closed(addon);
}

void addon_call_from_loop(napi_env env, napi_ref function, size_t count, const napi_value *arguments) {
  napi_value callback, global, exception;
  if (napi_get_reference_value(env, function, &callback) != napi_ok || napi_get_global(env, &global) != napi_ok) return;
  if (napi_make_callback(env, NULL, global, callback, count, arguments, NULL) != napi_pending_exception) return;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

/* Node runs the event loop until the hook is removed, so the handles' close callbacks still come. */
static void end_environment(napi_async_cleanup_hook_handle handle, void *data) {
  struct addon *addon = data;
  channel_close(addon);
  jobs_close(addon);
  addon->cleanup = handle;
  finish_if_closed(addon);
}

/* Writable properties, so that a test can put a failing function in the place of one. */
static bool export_table(struct addon *addon, napi_value exports, const struct function *table) {
  for (; table->name != NULL; table++) {
    napi_property_descriptor property = {
      .utf8name = table->name,
      .method = table->call,
      .attributes = napi_default_jsproperty,
      .data = addon,
    };
    if (napi_define_properties(addon->env, exports, 1, &property) != napi_ok) return false;
  }
  return true;
}

NAPI_MODULE_INIT() {
  struct addon *addon = calloc(1, sizeof *addon);
  if (addon == NULL || napi_add_async_cleanup_hook(env, end_environment, addon, NULL) != napi_ok) {
    free(addon);
    napi_throw_error(env, NULL, "cowfs: out of memory");
    return NULL;
  }
  addon->env = env;
  identity_init();
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    if (!export_table(addon, exports, tables[i])) return NULL;
  }
  return exports;
}
