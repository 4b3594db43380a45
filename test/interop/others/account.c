/* Loaded before libc (LD_PRELOAD), gives the accounts of the system the home directory ACCOUNT_HOME and the password
 * ACCOUNT_PASSWORD: for servers that take no others. */
#define _GNU_SOURCE
#include <crypt.h>
#include <dlfcn.h>
#include <pwd.h>
#include <shadow.h>
#include <stdlib.h>

static struct passwd *at_home(struct passwd *entry) {
  char *home = getenv("ACCOUNT_HOME");
  if (entry && home) entry->pw_dir = home;
  return entry;
}

struct passwd *getpwnam(const char *name) {
  struct passwd *(*real)(const char *) = dlsym(RTLD_NEXT, "getpwnam");
  return at_home(real(name));
}

struct passwd *getpwuid(uid_t id) {
  struct passwd *(*real)(uid_t) = dlsym(RTLD_NEXT, "getpwuid");
  return at_home(real(id));
}

struct spwd *getspnam(const char *name) {
  static struct spwd entry;
  char *password = getenv("ACCOUNT_PASSWORD");
  entry = (struct spwd){(char *)name, password ? crypt(password, "$6$cordboard") : "*", -1, -1, -1, -1, -1, -1, 0};
  return &entry;
}
