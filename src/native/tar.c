/*
 * The ordinary files of a layer's archive, many with one call: regular ones with all that is said of them in one header, which lie one behind the other in
 * memory and in one directory. Anything else is for archive/tar-parser.ts, which also says what is wrong with an archive.
 */
#include "files.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 512, LONGEST_NAME = 255 };

/* As in archive/file-runs.ts. */
struct run {
  uint32_t at;            /* in and out: where the next header begins */
  uint32_t orders, names; /* in and out: how many orders there are, and how many bytes of names */
  uint32_t skeleton;      /* in and out: how many bytes of it there are */
  uint32_t open;          /* in and out: where the bytes begin that are being collected, behind their length; 0 if there are none */
  uint32_t most;          /* files to be taken */
  uint32_t size;          /* out: bytes of content in them */
  int32_t fd;             /* of the directory */
  uint32_t uid, gid, umask;
  uint32_t writeback; /* content of so many bytes goes to the disk at once */
};

struct entry {
  char path[257]; /* prefix, slash, name */
  size_t path_length;
  uint64_t mode, uid, gid, size, time;
};

/* An octal number as all write it: maybe blanks, digits, and a NUL or a blank behind them if there is room. */
static bool octal(const uint8_t *field, size_t length, uint64_t *value) {
  size_t at = 0;
  *value = 0;
  while (at < length && field[at] == ' ') at++;
  for (; at < length && field[at] != '\0' && field[at] != ' '; at++) {
    if (field[at] < '0' || field[at] > '7') return false;
    *value = *value * 8 + (field[at] - (unsigned)'0');
  }
  return true;
}

static bool has_checksum(const uint8_t *header) {
  enum { FIELD = 148, FIELD_LENGTH = 8 };
  uint32_t sum = FIELD_LENGTH * ' ';
  uint64_t said;
  for (size_t i = 0; i < FIELD; i++) sum += header[i];
  for (size_t i = FIELD + FIELD_LENGTH; i < BLOCK; i++) sum += header[i];
  return octal(header + FIELD, FIELD_LENGTH, &said) && said == sum;
}

static bool read_header(const uint8_t *header, struct entry *entry) {
  const size_t name = strnlen((const char *)header, 100);
  size_t prefix = 0;
  if ((header[156] != '0' && header[156] != '\0') || !has_checksum(header)) return false;
  if (memcmp(header + 257, "ustar", 6) == 0) prefix = strnlen((const char *)header + 345, 155);
  memcpy(entry->path, header + 345, prefix);
  if (prefix > 0) entry->path[prefix++] = '/';
  memcpy(entry->path + prefix, header, name);
  entry->path_length = prefix + name;
  entry->path[entry->path_length] = '\0';
  return octal(header + 100, 8, &entry->mode) && octal(header + 108, 8, &entry->uid) && octal(header + 116, 8, &entry->gid) &&
         octal(header + 124, 12, &entry->size) && octal(header + 136, 12, &entry->time);
}

/* Its name in the directory with this path; NULL if it is not there, or if the name may be a special one. */
static const char *name_in(const struct entry *entry, struct bytes directory) {
  if (entry->path_length <= directory.length + 1 || entry->path[directory.length] != '/') return NULL;
  if (memcmp(entry->path, directory.data, directory.length) != 0) return NULL;
  const char *name = entry->path + directory.length + 1;
  const size_t length = strlen(name);
  return length == 0 || length > LONGEST_NAME || name[0] == '.' || memchr(name, '/', length) != NULL ? NULL : name;
}

struct places {
  struct bytes content, orders, names, skeleton;
  struct bytes directory, real; /* its path as the archive writes it, and in the layer */
};

static void keep_bytes(struct run *run, const struct places *places, size_t from, size_t to) {
  if (from == to) return;
  if (run->open == 0) {
    run->skeleton += 4;
    run->open = run->skeleton;
  }
  memcpy(places->skeleton.data + run->skeleton, places->content.data + from, to - from);
  run->skeleton += (uint32_t)(to - from);
}

static void put_number(uint8_t *place, uint32_t value) {
  for (int i = 0; i < 4; i++) place[i] = (uint8_t)(value >> (8 * i));
}

/* The format is that of archive/skeleton.ts. */
static void keep_file(struct run *run, const struct places *places, const char *name, size_t length, double size) {
  uint8_t *const data = places->skeleton.data;
  if (run->open > 0) put_number(data + run->open - 4, run->skeleton - run->open);
  run->open = 0;
  const size_t directory = places->real.length;
  const size_t path = directory == 0 ? length : directory + 1 + length;
  put_number(data + run->skeleton, 0x80000000 + (uint32_t)path);
  uint8_t *at = data + run->skeleton + 4;
  if (directory > 0) {
    memcpy(at, places->real.data, directory);
    at[directory] = '/';
  }
  memcpy(at + path - length, name, length);
  memcpy(at + path, &size, sizeof size);
  run->skeleton += (uint32_t)(4 + path + sizeof size);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the skeleton's doubles are");

static void order_file(struct run *run, const struct places *places, const struct entry *entry, const char *name, size_t length) {
  struct order *order = (struct order *)(void *)places->orders.data + run->orders++;
  const uint32_t mode = (uint32_t)entry->mode & 07777;
  *order = (struct order){
    .time = (double)entry->time,
    .fd = run->fd,
    .steps = CREATE | TIME | CLOSE | HASH,
    .name = run->names,
    .start = run->at + BLOCK,
    .length = (uint32_t)entry->size,
    .mode = mode,
    .uid = (uint32_t)entry->uid,
    .gid = (uint32_t)entry->gid,
  };
  if (order->length > 0) order->steps |= WRITE;
  if (order->length >= run->writeback) order->steps |= BEGIN_WRITEBACK;
  if (order->uid != run->uid || order->gid != run->gid) order->steps |= OWNER;
  if (mode != (mode & ~run->umask & 0777)) order->steps |= MODE;
  memcpy(places->names.data + run->names, name, length + 1);
  run->names += (uint32_t)length + 1;
}

/* Takes the file whose header is at `run->at`; false if it cannot. */
static bool take_file(struct run *run, const struct places *places, uint32_t *kept) {
  struct entry entry;
  const size_t most = places->content.length;
  if (run->orders >= places->orders.length / sizeof(struct order) || run->at > most || most - run->at < BLOCK) return false;
  if (!read_header(places->content.data + run->at, &entry)) return false;
  const char *name = name_in(&entry, places->directory);
  if (name == NULL || entry.size > most) return false;
  const size_t length = strlen(name), begin = run->at + BLOCK, end = begin + entry.size, next = begin + (entry.size + BLOCK - 1) / BLOCK * BLOCK;
  if (next > most || places->names.length - run->names <= length) return false;
  /* Twice what is kept of an entry: the padding behind the last one is kept, too. */
  if (places->skeleton.length - run->skeleton < 2 * (4 + 2 * BLOCK) + 4 + places->real.length + 1 + length + sizeof(double)) return false;
  keep_bytes(run, places, *kept, begin);
  keep_file(run, places, name, length, (double)entry.size);
  order_file(run, places, &entry, name, length);
  *kept = (uint32_t)end;
  run->size += (uint32_t)entry.size;
  run->at = (uint32_t)next;
  return true;
}

/* Returns the number of files. Everything in `run` is checked: JavaScript may be mistaken, memory must not be. */
static napi_value tar_files(napi_env env, napi_callback_info info) {
  struct args a;
  args_read(&a, env, info);
  struct bytes state = arg_bytes(&a, 0);
  struct places places = {arg_bytes(&a, 1), arg_bytes(&a, 2), arg_bytes(&a, 3), arg_bytes(&a, 4), arg_bytes(&a, 5), arg_bytes(&a, 6)};
  struct run run;
  if (args_bad(&a)) return args_refuse(&a);
  if (state.length != sizeof run || (uintptr_t)places.orders.data % _Alignof(struct order) != 0) return result(env, -EINVAL);
  memcpy(&run, state.data, sizeof run);
  if (run.names > places.names.length || run.skeleton > places.skeleton.length || run.open > run.skeleton || (run.open > 0 && run.open < 4) ||
      places.content.length > INT_MAX || places.real.length > INT_MAX)
    return result(env, -EINVAL);
  uint32_t count = 0, kept = run.at;
  run.size = 0;
  while (count < run.most && take_file(&run, &places, &kept)) count++;
  if (count > 0) keep_bytes(&run, &places, kept, run.at);
  memcpy(state.data, &run, sizeof run);
  return result(env, count);
}

/* ---- lines of the manifest ---- */

static size_t put_escaped(char *out, const char *text, size_t length) {
  static const char digits[] = "0123456789abcdef";
  size_t used = 0;
  for (size_t i = 0; i < length; i++) {
    const uint8_t byte = (uint8_t)text[i];
    if (byte > 0x20 && byte != '%' && byte != 0x7f) {
      out[used++] = text[i];
      continue;
    }
    out[used++] = '%';
    out[used++] = digits[byte >> 4];
    out[used++] = digits[byte & 15];
  }
  return used;
}

/* The line of a file, as archive/quick-manifest.ts has it. */
static size_t put_line(char *out, const struct order *order, struct bytes real, const char *name) {
  enum { NUMBERS = 128 };
  size_t used = (size_t)snprintf(out, NUMBERS, "file %o %u %u %u %llu.000000000 %016llx - ", S_IFREG | order->mode, order->uid, order->gid, order->length,
                                 (unsigned long long)order->time, (unsigned long long)order->hash);
  used += put_escaped(out + used, (const char *)real.data, real.length);
  if (real.length > 0) out[used++] = '/';
  used += put_escaped(out + used, name, strlen(name));
  out[used++] = '\n';
  return used;
}

/* Lines of `count` orders from `first` on, which have been carried out. Returns how many bytes of the last argument they took. */
static napi_value tar_lines(napi_env env, napi_callback_info info) {
  enum { LINE = 128 + 2 };
  struct args a;
  args_read(&a, env, info);
  struct bytes table = arg_bytes(&a, 0);
  const uint32_t first = arg_uint(&a, 1), count = arg_uint(&a, 2);
  struct bytes names = arg_bytes(&a, 3), real = arg_bytes(&a, 4), out = arg_bytes(&a, 5);
  const struct order *orders = (void *)table.data;
  size_t used = 0;
  if (args_bad(&a)) return args_refuse(&a);
  if ((uint64_t)first + count > table.length / sizeof *orders || (uintptr_t)orders % _Alignof(struct order) != 0 || real.length > INT_MAX)
    return result(env, -EINVAL);
  for (uint32_t i = first; i < first + count; i++) {
    if (orders[i].name >= names.length) return result(env, -EINVAL);
    const char *name = (const char *)names.data + orders[i].name;
    const size_t length = strnlen(name, names.length - orders[i].name);
    if (orders[i].name + length == names.length) return result(env, -EINVAL);
    if (out.length - used < LINE + 3 * (real.length + length)) return result(env, -ERANGE);
    used += put_line((char *)out.data + used, &orders[i], real, name);
  }
  return result(env, (int64_t)used);
}

const struct function tar_functions[] = {
  {"tarFiles", tar_files},
  {"tarLines", tar_lines},
  {NULL, NULL},
};
