/* A disk on which every sync takes SLOW_DISK_US longer: preloaded into the server. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void linger(void) {
  const char *words = getenv("SLOW_DISK_US");
  if (words) usleep((useconds_t)atoi(words));
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  linger();
  return real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  linger();
  return real(fd);
}
