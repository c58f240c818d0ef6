/* A stream of the system's libzstd, for those who decompress on whatever thread. */
#ifndef COWFS_ZSTD_H
#define COWFS_ZSTD_H

#include "addon.h"

/* 0 or -errno; -ENOSYS where the system has no libzstd. */
int zstd_start(void **stream);
void zstd_end(void *stream);
/* 0 if a frame has ended, and nothing of it is left to come out, 1 if more is to come, or -errno. */
int zstd_step(void *stream, struct bytes input, struct bytes output, size_t *read, size_t *written);

#endif
