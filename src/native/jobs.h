/* One job: what is asked for, running it, and handing it to the threads. */
#ifndef COWFS_JOBS_H
#define COWFS_JOBS_H

#include "addon.h"

enum kind { COPY, READ, SYNC, FLUSH, FALLOCATE, COPY_RANGE, FILES };

/* READ and SYNC answer the kernel by themselves, the others call back with their result. */
static inline bool calls_back(enum kind kind) { return kind != READ && kind != SYNC; }

/* `input`, `output` and `channel` are duplicates that the job owns; -1 where it needs none. What `files` points to is kept by the caller. */
struct job {
  struct job *next;
  enum kind kind;
  int channel, input, output;
  uint64_t unique; /* of the request a self-answering job answers */
  double id;       /* of a job that calls back */
  int mode;        /* of fallocate; which kind of sync; whether a copy is synced */
  int64_t offset, out_offset, length;
  struct files files;
  int64_t result;
};

/*
 * What a thread keeps to answer reads: a buffer, out of which header and data go to the kernel in one write, and a pipe, which carries
 * pages of the file to it without a copy of ours. Both grow and are kept.
 */
struct scratch {
  uint8_t *data;
  size_t size;
  int pipe[2];       /* -1 where there is none */
  int64_t pipe_room; /* bytes of a file that are sure to fit */
};

void scratch_init(struct scratch *scratch);
void scratch_free(struct scratch *scratch);

/* Does the work, answers the kernel if the job is of that sort, and closes the descriptors. Any thread. */
void job_run(struct addon *addon, struct job *job, struct scratch *scratch);
void job_close_files(struct job *job);

/* jobs.c: a thread runs `job`, which is malloc'ed and the pool's from now on. 0, or -ESHUTDOWN where no threads run, and it stays the caller's. */
int jobs_queue(struct addon *addon, struct job *job);

#endif
