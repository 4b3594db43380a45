// libssh2 as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
#include <arpa/inet.h>
#include <libssh2.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE (2 * 1024 * 1024)
static const char *step = "start";
static LIBSSH2_SESSION *session;
static int fd;

static void done(const char *name) {
  printf("{\"step\":\"%s\",\"ok\":true}\n", name);
  fflush(stdout);
}

static void check(int right) {
  char *why = "";
  if (right) return;
  if (session) libssh2_session_last_error(session, &why, NULL, 0);
  printf("{\"step\":\"%s\",\"ok\":false,\"error\":\"%s\"}\n", step, why);
  exit(1);
}

static unsigned char pattern(size_t i) { return (i * 31 + (i >> 8)) & 255; }

static void dial(const char *password) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("TARGET_PORT")))};
  inet_pton(AF_INET, getenv("TARGET_HOST"), &to.sin_addr);
  fd = socket(AF_INET, SOCK_STREAM, 0);
  check(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  session = libssh2_session_init();
  check(libssh2_session_handshake(session, fd) == 0);
  size_t length;
  int type;
  const char *key = libssh2_session_hostkey(session, &length, &type);
  LIBSSH2_KNOWNHOSTS *known = libssh2_knownhost_init(session);
  check(libssh2_knownhost_readfile(known, getenv("TARGET_KNOWN"), LIBSSH2_KNOWNHOST_FILE_OPENSSH) > 0);
  int how = LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW;
  check(libssh2_knownhost_checkp(known, getenv("TARGET_HOST"), atoi(getenv("TARGET_PORT")), key, length, how, NULL) ==
        LIBSSH2_KNOWNHOST_CHECK_MATCH);
  libssh2_knownhost_free(known);
  const char *user = getenv("TARGET_USER");
  if (password) check(libssh2_userauth_password(session, user, password) == 0);
  else check(libssh2_userauth_publickey_fromfile(session, user, NULL, getenv("TARGET_KEY"), NULL) == 0);
}

/** Runs a command; what it says on either stream must be as expected. */
static void runs(const char *command, const char *out, const char *err, int status) {
  char said[100];
  LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(session);
  check(channel != NULL && libssh2_channel_exec(channel, command) == 0);
  for (int stream = 0; stream < 2; stream++) {
    int length = 0, n;
    while ((n = libssh2_channel_read_ex(channel, stream, said + length, sizeof said - length - 1)) > 0) length += n;
    said[length] = 0;
    check(strcmp(said, stream ? err : out) == 0);
  }
  check(libssh2_channel_close(channel) == 0 && libssh2_channel_wait_closed(channel) == 0);
  check(libssh2_channel_get_exit_status(channel) == status);
  libssh2_channel_free(channel);
}

/** Sends `size` bytes and EOF, and reads them all back, then EOF. */
static void echoes(LIBSSH2_CHANNEL *channel, size_t size) {
  static char out[32768], in[32768];
  size_t sent = 0, got = 0;
  int ended = 0;
  libssh2_session_set_blocking(session, 0);
  while (!libssh2_channel_eof(channel)) {
    int moved = 0;
    if (sent < size) {
      size_t n = size - sent < sizeof out ? size - sent : sizeof out;
      for (size_t i = 0; i < n; i++) out[i] = pattern(sent + i);
      ssize_t took = libssh2_channel_write(channel, out, n);
      check(took >= 0 || took == LIBSSH2_ERROR_EAGAIN);
      if (took > 0) sent += took, moved = 1;
    } else if (!ended) {
      int rc = libssh2_channel_send_eof(channel);
      check(rc == 0 || rc == LIBSSH2_ERROR_EAGAIN);
      ended = rc == 0;
    }
    ssize_t n = libssh2_channel_read(channel, in, sizeof in);
    check(n >= 0 || n == LIBSSH2_ERROR_EAGAIN);
    for (ssize_t i = 0; i < n; i++) check(in[i] == (char)pattern(got + i));
    if (n > 0) got += n, moved = 1;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (!moved) poll(&wait, 1, 100);
  }
  libssh2_session_set_blocking(session, 1);
  check(got == size);
}

static void server(void) {
  dial(NULL);
  done(step = "key");
  step = "exec";
  runs("echo hello", "hello\n", "", 0);
  done(step);
  step = "status";
  runs("fail 7", "", "as you wish\n", 7);
  done(step);
  step = "cat";
  LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(session);
  check(channel != NULL && libssh2_channel_exec(channel, "cat") == 0);
  echoes(channel, SIZE);
  libssh2_channel_free(channel);
  done(step);
  step = "idle";
  // It has no loop of its own: while the program does something else, nobody answers.
  sleep(atoi(getenv("IDLE")));
  runs("echo again", "again\n", "", 0);
  done(step);
  libssh2_session_disconnect(session, "done");
  step = "password";
  dial(getenv("TARGET_PASSWORD"));
  runs("echo in", "in\n", "", 0);
  done(step);
}

static void consume(void) {
  dial(NULL);
  step = "half-close";
  for (int round = 0; round < 3; round++) {
    LIBSSH2_CHANNEL *channel = libssh2_channel_direct_tcpip(session, getenv("PEER"), atoi(getenv("LINE")));
    check(channel != NULL);
    // The second one is given up with bytes under way.
    if (round == 1) {
      check(libssh2_channel_write(channel, "so long", 7) == 7 && libssh2_channel_close(channel) == 0);
      done(step = "close");
    } else {
      echoes(channel, 300000);
      if (round == 0) done(step);
    }
    libssh2_channel_free(channel);
  }
}

static void provide(void) {
  dial(NULL);
  step = "plugged";
  LIBSSH2_LISTENER *listener = libssh2_channel_forward_listen_ex(session, "localhost", atoi(getenv("LINE")), NULL, 5);
  check(listener != NULL);
  done(step);
  for (;;) {
    static char bytes[32768];
    ssize_t n;
    LIBSSH2_CHANNEL *channel = libssh2_channel_forward_accept(listener);
    check(channel != NULL);
    while ((n = libssh2_channel_read(channel, bytes, sizeof bytes)) > 0)
      for (ssize_t at = 0, took; at < n; at += took) check((took = libssh2_channel_write(channel, bytes + at, n - at)) > 0);
    libssh2_channel_send_eof(channel);
    libssh2_channel_free(channel);
  }
}

static void once(void) {
  char said[1000];
  int length = 0, n;
  dial(NULL);
  step = "pty";
  LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(session);
  check(channel != NULL && libssh2_channel_request_pty_ex(channel, "xterm", 5, NULL, 0, 81, 25, 0, 0) == 0);
  check(libssh2_channel_exec(channel, "stty size; exit 3") == 0);
  while ((n = libssh2_channel_read(channel, said + length, sizeof said - length - 1)) > 0) length += n;
  said[length] = 0;
  libssh2_channel_close(channel);
  check(strstr(said, "25 81") != NULL && libssh2_channel_get_exit_status(channel) == 3);
  done(step);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "server") == 0) server();
  if (strcmp(mode, "consume") == 0) consume();
  if (strcmp(mode, "provide") == 0) provide();
  if (strcmp(mode, "once") == 0) once();
  return 0;
}
