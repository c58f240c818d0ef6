/* Orders: what is to be done to a file, as in archive/file-orders.ts. */
#ifndef COWFS_FILES_H
#define COWFS_FILES_H

#include "addon.h"

enum step { CREATE = 1, WRITE = 2, BEGIN_WRITEBACK = 4, OWNER = 8, MODE = 16, TIME = 32, CLOSE = 64, HASH = 128 };

struct order {
  union {
    double offset; /* of the content in the file */
    uint64_t hash; /* out: of the content, if that was wanted */
  };
  double time;
  uint32_t nsec;
  int32_t fd;             /* of the directory for CREATE, otherwise of the file */
  uint32_t steps;
  uint32_t name;          /* where it begins among the names; a NUL ends it */
  uint32_t start, length; /* of the content */
  uint32_t mode, uid, gid;
  uint32_t failed; /* out: which step, and why */
  int32_t error;
};
_Static_assert(sizeof(struct order) == 64, "as in archive/file-orders.ts");

#endif
