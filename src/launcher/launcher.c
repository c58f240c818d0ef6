/*
 * The program `cowfs`: starts Node on dist/main.cjs of its package, which is main.js by a name for which Node looks for no package.json. For a
 * mount it forks: the child becomes the driver, in a session of its own, and says one byte through descriptor 3 once the mount answers; with
 * that this process ends. What goes wrong before, the child itself says on stderr, and its exit code is handed on. Every other command replaces
 * this process.
 *
 * Deciding wrongly which of the two it is does no harm: main.cjs does either way what the command line says.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { READY_FD = 3, FAILURE = 1 };

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof ending_signals[0] };

static volatile sig_atomic_t child, received;

static void pass_on(int signal) {
  received = signal;
  if (child > 0) kill(child, signal);
}

static _Noreturn void fail(const char *what, int error) {
  fprintf(stderr, "cowfs: %s: %s\n", what, strerror(error));
  _exit(FAILURE);
}

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/*
 * A helper of mount(8) mounts, and so does a command line without a sub-command that has options of mount(8): `-o … MOUNTPOINT` or
 * `SOURCE /MOUNTPOINT -o …`. Other commands have options -o too, and `--root DIR` before them. A mount that is not seen here takes longer, that is all.
 */
static bool is_mount(const char *name, char *const *words) {
  if (starts_with(name, "mount.")) return true;
  if (words[0] == NULL) return false;
  if (starts_with(words[0], "--root=")) words++;
  else if (strcmp(words[0], "--root") == 0) words += words[1] != NULL ? 2 : 1;
  if (words[0] == NULL) return false;
  if (strcmp(words[0], "mount") == 0) return true;
  if (words[0][0] != '-' && (words[1] == NULL || words[1][0] != '/')) return false;
  for (; *words != NULL; words++) {
    if (starts_with(*words, "-o")) return true;
  }
  return false;
}

/* Whether a word could be --foreground: -f may stand among other letters, up to one that takes a value. */
static bool may_stay(const char *name, char *const *words) {
  bool is_helper = starts_with(name, "mount."); /* its -f means something else */
  for (; *words != NULL; words++) {
    const char *word = *words;
    if (strcmp(word, "--foreground") == 0) return true;
    if (is_helper || word[0] != '-' || word[1] == '-') continue;
    if (word[1 + strcspn(word + 1, "otf")] == 'f') return true;
  }
  return false;
}

/*
 * Whether a word could be -v, --volume, --volumes-from, --mount or --tmpfs: what is mounted over a mount is the work of a process that is not
 * its driver, and that ends with this one.
 */
static bool may_cover(const char *name, char *const *words) {
  if (starts_with(name, "mount.")) return false; /* its -v means something else */
  for (; *words != NULL; words++) {
    const char *word = *words;
    if (starts_with(word, "--volume") || starts_with(word, "--mount") || starts_with(word, "--tmpfs")) return true;
    if (word[0] == '-' && word[1] != '-' && word[1 + strcspn(word + 1, "otv")] == 'v') return true;
  }
  return false;
}

/*
 * Runs node on main.cjs: `argv` has room for both before the words, and for one thread that compiles and collects garbage beside the
 * main one. Node starts four, which take the CPUs from the programs that wait for the driver, and memory.
 */
static _Noreturn void run_node(char **argv) {
  static char script[PATH_MAX + sizeof "/dist/main.cjs"];
  ssize_t length = readlink("/proc/self/exe", script, PATH_MAX);
  if (length < 0) fail("/proc/self/exe", errno);
  script[length] = '\0';
  for (int up = 0; up < 2; up++) {
    char *slash = strrchr(script, '/');
    if (slash != NULL) *slash = '\0';
  }
  strcat(script, "/dist/main.cjs");
  if (access(script, R_OK) != 0) fail(script, errno);
  argv[0] = "node";
  argv[1] = "--v8-pool-size=1";
  /* Otherwise Node takes an --env-file among the words for its own. */
  argv[2] = "--";
  argv[3] = script;
  /* With it, Node reads some hundred certificates when it starts, for 40 ms and 2 MB; there is no TLS in cowfs. */
  unsetenv("NODE_EXTRA_CA_CERTS");
  execvp(argv[0], argv);
  if (errno == ENOENT) {
    /* mount(8) may hand on no PATH: where a shell would look then. */
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    execvp(argv[0], argv);
  }
  fail("node, version 20 or later, cannot be started", errno);
}

/* Closes every descriptor from `first` on; before Linux 5.9 one by one. */
static void close_from(int first) {
  if (syscall(SYS_close_range, first, ~0u, 0) == 0) return;
  DIR *open_ones = opendir("/proc/self/fd");
  if (open_ones == NULL) fail("/proc/self/fd", errno);
  const struct dirent *entry;
  while ((entry = readdir(open_ones)) != NULL) {
    int fd = atoi(entry->d_name); /* "." and "..": 0 */
    if (fd >= first && fd != dirfd(open_ones)) close(fd);
  }
  closedir(open_ones);
}

/* In the child. Nothing is inherited but the standard descriptors and the end of the pipe. */
static _Noreturn void become_driver(char **argv, int pipe_end) {
  setsid();
  if (pipe_end == READY_FD ? fcntl(READY_FD, F_SETFD, 0) != 0 : dup2(pipe_end, READY_FD) < 0) fail("pipe", errno);
  close_from(READY_FD + 1);
  run_node(argv);
}

static void complain_of_signal(int signal) {
  static const struct {
    int number;
    const char *name;
  } known[] = {{SIGKILL, "SIGKILL"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGHUP, "SIGHUP"}, {SIGSEGV, "SIGSEGV"},
               {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGILL, "SIGILL"}, {SIGTRAP, "SIGTRAP"}};
  char number[32];
  snprintf(number, sizeof number, "signal %d", signal);
  const char *name = number;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (known[i].number == signal) name = known[i].name;
  }
  fprintf(stderr, "cowfs: the driver ended before the mount was ready (killed by %s)\n", name);
}

/* How the child ended becomes how this process ends. */
static int ending(void) {
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid", errno);
  }
  if (received != 0) {
    sigset_t none;
    sigemptyset(&none);
    signal(received, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise(received);
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  complain_of_signal(WTERMSIG(status));
  return FAILURE;
}

static int start_driver(char **argv) {
  int ends[2];
  int fd;
  /* The pipe must not take the place of a standard descriptor that the caller closed. */
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= 2);
  if (fd >= 0) close(fd);
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe", errno);

  sigset_t signals, before;
  sigemptyset(&signals);
  for (int i = 0; i < ENDING_SIGNALS; i++) sigaddset(&signals, ending_signals[i]);
  signal(SIGCHLD, SIG_DFL);
  sigprocmask(SIG_BLOCK, &signals, &before);
  child = fork();
  if (child < 0) fail("fork", errno);
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    become_driver(argv, ends[1]);
  }
  close(ends[1]);
  for (int i = 0; i < ENDING_SIGNALS; i++) {
    struct sigaction old, action = {.sa_handler = pass_on};
    sigaction(ending_signals[i], &action, &old);
    if (old.sa_handler == SIG_IGN) sigaction(ending_signals[i], &old, NULL);
  }
  sigprocmask(SIG_SETMASK, &before, NULL);

  char byte;
  ssize_t got;
  do {
    got = read(ends[0], &byte, 1);
  } while (got < 0 && errno == EINTR);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  /* A driver that was told to end has that before it even if it said first that it is ready. */
  if (got == 1 && received == 0) return 0;
  sigprocmask(SIG_SETMASK, &before, NULL);
  return ending();
}

int main(int argc, char **argv) {
  static char directory[PATH_MAX];
  const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
  const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "cowfs";
  char **words = argc > 0 ? argv + 1 : argv;
  int count = argc > 0 ? argc - 1 : 0;
  bool forks = is_mount(name, words) && !may_stay(name, words) && !may_cover(name, words);
  /*
   * node --v8-pool-size=1 -- main.cjs [--launched NAME DIRECTORY] WORD… NULL. The directory is for its length: the driver writes its title, with the
   * mountpoint as an absolute path, over these words.
   */
  int extra = forks ? 7 : 4;
  char **line = calloc((size_t)(count + extra + 1), sizeof *line);
  if (line == NULL) fail("memory", errno);
  if (forks) {
    line[4] = "--launched";
    line[5] = (char *)name;
    line[6] = getcwd(directory, sizeof directory) != NULL ? directory : "/";
  }
  memcpy(line + extra, words, (size_t)count * sizeof *line);
  if (!forks) run_node(line);
  int code = start_driver(line);
  _exit(code);
}
