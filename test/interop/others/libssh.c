// libssh as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
#include <libssh/libssh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE (2 * 1024 * 1024)
static const char *step = "start";
static ssh_session session;

static void done(const char *name) {
  printf("{\"step\":\"%s\",\"ok\":true}\n", name);
  fflush(stdout);
}

static void check(int right) {
  if (right) return;
  printf("{\"step\":\"%s\",\"ok\":false,\"error\":\"", step);
  for (const char *p = session ? ssh_get_error(session) : ""; *p; p++) putchar(*p == '"' || *p < ' ' ? '\'' : *p);
  printf("\"}\n");
  exit(1);
}

static unsigned char pattern(size_t i) { return (i * 31 + (i >> 8)) & 255; }

static ssh_session dial(const char *password) {
  int no = 0;
  session = ssh_new();
  ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(session, SSH_OPTIONS_HOST, getenv("TARGET_HOST"));
  ssh_options_set(session, SSH_OPTIONS_PORT_STR, getenv("TARGET_PORT"));
  ssh_options_set(session, SSH_OPTIONS_USER, getenv("TARGET_USER"));
  ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, getenv("TARGET_KNOWN"));
  check(ssh_connect(session) == SSH_OK);
  check(ssh_session_is_known_server(session) == SSH_KNOWN_HOSTS_OK);
  if (password) {
    check(ssh_userauth_password(session, NULL, password) == SSH_AUTH_SUCCESS);
  } else {
    ssh_key key;
    check(ssh_pki_import_privkey_file(getenv("TARGET_KEY"), NULL, NULL, NULL, &key) == SSH_OK);
    check(ssh_userauth_publickey(session, NULL, key) == SSH_AUTH_SUCCESS);
    ssh_key_free(key);
  }
  return session;
}

/** Runs a command; what it says on either stream must be as expected. */
static void runs(const char *command, const char *out, const char *err, int status) {
  char said[100];
  ssh_channel channel = ssh_channel_new(session);
  check(ssh_channel_open_session(channel) == SSH_OK && ssh_channel_request_exec(channel, command) == SSH_OK);
  for (int stream = 0; stream < 2; stream++) {
    int length = 0, n;
    while ((n = ssh_channel_read(channel, said + length, sizeof said - length - 1, stream)) > 0) length += n;
    said[length] = 0;
    check(strcmp(said, stream ? err : out) == 0);
  }
  check(ssh_channel_get_exit_status(channel) == status);
  ssh_channel_close(channel);
  ssh_channel_free(channel);
}

/** Sends `size` bytes and EOF, and reads them all back, then EOF. */
static void echoes(ssh_channel channel, size_t size) {
  static unsigned char bytes[32768];
  size_t sent = 0, got = 0;
  while (!ssh_channel_is_eof(channel)) {
    if (sent < size) {
      size_t n = size - sent < sizeof bytes ? size - sent : sizeof bytes;
      for (size_t i = 0; i < n; i++) bytes[i] = pattern(sent + i);
      check(ssh_channel_write(channel, bytes, n) == (int)n);
      sent += n;
      if (sent == size) check(ssh_channel_send_eof(channel) == SSH_OK);
    }
    int n = sent < size ? ssh_channel_read_nonblocking(channel, bytes, sizeof bytes, 0)
                        : ssh_channel_read(channel, bytes, sizeof bytes, 0);
    check(n >= 0);
    for (int i = 0; i < n; i++) check(bytes[i] == pattern(got + i));
    got += n;
  }
  check(got == size);
}

static void idle(int seconds) {
  ssh_event event = ssh_event_new();
  ssh_event_add_session(event, session);
  for (int i = 0; i < seconds * 10; i++) ssh_event_dopoll(event, 100);
  ssh_event_remove_session(event, session);
  ssh_event_free(event);
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
  ssh_channel channel = ssh_channel_new(session);
  check(ssh_channel_open_session(channel) == SSH_OK && ssh_channel_request_exec(channel, "cat") == SSH_OK);
  echoes(channel, SIZE);
  check(ssh_channel_get_exit_status(channel) == 0);
  done(step);
  step = "idle";
  idle(atoi(getenv("IDLE")));
  runs("echo again", "again\n", "", 0);
  done(step);
  ssh_disconnect(session);
  step = "password";
  dial(getenv("TARGET_PASSWORD"));
  runs("echo in", "in\n", "", 0);
  done(step);
}

static void consume(void) {
  dial(NULL);
  step = "half-close";
  for (int round = 0; round < 3; round++) {
    ssh_channel channel = ssh_channel_new(session);
    check(ssh_channel_open_forward(channel, getenv("PEER"), atoi(getenv("LINE")), "127.0.0.1", 4000) == SSH_OK);
    // The second one is given up with bytes under way.
    if (round == 1) {
      check(ssh_channel_write(channel, "so long", 7) == 7);
      ssh_channel_close(channel);
      done(step = "close");
    } else {
      echoes(channel, 300000);
      if (round == 0) done(step);
    }
    ssh_channel_free(channel);
  }
}

static void provide(void) {
  dial(NULL);
  step = "plugged";
  check(ssh_channel_listen_forward(session, "localhost", atoi(getenv("LINE")), NULL) == SSH_OK);
  done(step);
  for (;;) {
    static unsigned char bytes[32768];
    ssh_channel channel = ssh_channel_open_forward_port(session, 1000, NULL, NULL, NULL);
    if (!channel) {
      if (!ssh_is_connected(session)) exit(1);
      continue;
    }
    int n;
    while ((n = ssh_channel_read(channel, bytes, sizeof bytes, 0)) > 0) ssh_channel_write(channel, bytes, n);
    ssh_channel_send_eof(channel);
    ssh_channel_close(channel);
    ssh_channel_free(channel);
  }
}

static void once(void) {
  char said[1000];
  int length = 0, n;
  dial(NULL);
  step = "pty";
  ssh_channel channel = ssh_channel_new(session);
  check(ssh_channel_open_session(channel) == SSH_OK);
  check(ssh_channel_request_pty_size(channel, "xterm", 81, 25) == SSH_OK);
  check(ssh_channel_request_exec(channel, "stty size; exit 3") == SSH_OK);
  while ((n = ssh_channel_read(channel, said + length, sizeof said - length - 1, 0)) > 0) length += n;
  said[length] = 0;
  check(strstr(said, "25 81") != NULL && ssh_channel_get_exit_status(channel) == 3);
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
