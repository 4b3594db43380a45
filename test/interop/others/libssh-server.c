/* A server of libssh: HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT". One process a connection, one loop a process. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAMS 32
#define LISTENERS 8

/* A channel and the descriptors that it is joined to: a program's or a socket's (then `in` is `out`). */
struct stream {
  ssh_channel channel;
  int in, out, err;
  pid_t child;
  char buffer[32768];
  int held, written;
};

struct listener {
  int fd, port;
  char host[256];
};

static struct stream *streams[STREAMS];
static struct listener listeners[LISTENERS];
static char **arguments;

static int authorized(ssh_key key) {
  FILE *file = fopen(arguments[4], "r");
  char line[8192];
  int found = 0;
  while (!found && fgets(line, sizeof line, file)) {
    char *type = strtok(line, " "), *base64 = strtok(NULL, " \n");
    ssh_key each = NULL;
    if (base64 && ssh_pki_import_pubkey_base64(base64, ssh_key_type_from_name(type), &each) == SSH_OK)
      found = ssh_key_cmp(key, each, SSH_KEY_CMP_PUBLIC) == 0;
    ssh_key_free(each);
  }
  fclose(file);
  return found;
}

static int authenticate(ssh_session session, ssh_message message) {
  static int known;
  const char *user = ssh_message_auth_user(message);
  /* An answer to a question names nobody. */
  if (user) known = strcmp(user, arguments[2]) == 0;
  switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PASSWORD:
      if (known && strcmp(ssh_message_auth_password(message), arguments[3]) == 0)
        return ssh_message_auth_reply_success(message, 0);
      break;
    case SSH_AUTH_METHOD_PUBLICKEY:
      if (!known || !authorized(ssh_message_auth_pubkey(message))) break;
      if (ssh_message_auth_publickey_state(message) == SSH_PUBLICKEY_STATE_VALID)
        return ssh_message_auth_reply_success(message, 0);
      if (ssh_message_auth_publickey_state(message) == SSH_PUBLICKEY_STATE_NONE)
        return ssh_message_auth_reply_pk_ok_simple(message);
      break;
    case SSH_AUTH_METHOD_INTERACTIVE: {
      const char *prompts[] = {"Password: "};
      char echo[] = {0};
      if (!ssh_message_auth_kbdint_is_response(message))
        return ssh_message_auth_interactive_request(message, "", "", 1, prompts, echo);
      if (known && ssh_userauth_kbdint_getnanswers(session) == 1 &&
          strcmp(ssh_userauth_kbdint_getanswer(session, 0), arguments[3]) == 0)
        return ssh_message_auth_reply_success(message, 0);
    }
  }
  ssh_message_auth_set_methods(message, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE);
  return 1;
}

static struct stream *join(ssh_channel channel, int in, int out, int err, pid_t child) {
  for (int i = 0; i < STREAMS; i++)
    if (!streams[i]) {
      struct stream *s = streams[i] = calloc(1, sizeof *s);
      *s = (struct stream){channel, in, out, err, child};
      fcntl(in, F_SETFL, O_NONBLOCK);
      fcntl(out, F_SETFL, O_NONBLOCK);
      if (err >= 0) fcntl(err, F_SETFL, O_NONBLOCK);
      return s;
    }
  exit(2);
}

static void run(ssh_channel channel, const char *command) {
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) exit(2);
  pid_t child = fork();
  if (child == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    execl("/bin/sh", "sh", command ? "-c" : NULL, command, NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  join(channel, in[1], out[0], err[0], child);
}

static int reach(const char *host, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, host, &to.sin_addr) == 1 && connect(fd, (void *)&to, sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

static int listen_on(const char *host, int *port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
  socklen_t size = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (inet_pton(AF_INET, host, &at.sin_addr) != 1 || bind(fd, (void *)&at, size) || listen(fd, 16)) {
    close(fd);
    return -1;
  }
  getsockname(fd, (void *)&at, &size);
  *port = ntohs(at.sin_port);
  return fd;
}

static int open_channel(ssh_message message) {
  if (ssh_message_subtype(message) == SSH_CHANNEL_SESSION) {
    ssh_message_channel_request_open_reply_accept(message);
    return 0;
  }
  if (ssh_message_subtype(message) != SSH_CHANNEL_DIRECT_TCPIP) return 1;
  int fd = reach(ssh_message_channel_request_open_destination(message),
                 ssh_message_channel_request_open_destination_port(message));
  if (fd < 0) return 1;
  join(ssh_message_channel_request_open_reply_accept(message), fd, fd, -1, 0);
  return 0;
}

static int channel_request(ssh_message message) {
  ssh_channel channel = ssh_message_channel_request_channel(message);
  switch (ssh_message_subtype(message)) {
    case SSH_CHANNEL_REQUEST_PTY:
      return ssh_message_channel_request_reply_success(message);
    case SSH_CHANNEL_REQUEST_EXEC:
      run(channel, ssh_message_channel_request_command(message));
      return ssh_message_channel_request_reply_success(message);
    case SSH_CHANNEL_REQUEST_SHELL:
      run(channel, NULL);
      return ssh_message_channel_request_reply_success(message);
  }
  return 1;
}

static int global_request(ssh_message message) {
  const char *host = ssh_message_global_request_address(message);
  int port = ssh_message_global_request_port(message);
  int cancel = ssh_message_subtype(message) == SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD;
  if (!cancel && ssh_message_subtype(message) != SSH_GLOBAL_REQUEST_TCPIP_FORWARD) return 1;
  for (int i = 0; i < LISTENERS; i++) {
    struct listener *l = &listeners[i];
    if (cancel && l->fd > 0 && l->port == port && strcmp(l->host, host) == 0) {
      close(l->fd);
      l->fd = 0;
      return ssh_message_global_request_reply_success(message, 0);
    }
    if (!cancel && l->fd == 0) {
      int fd = listen_on(host, &port);
      if (fd < 0) return 1;
      l->fd = fd;
      l->port = port;
      snprintf(l->host, sizeof l->host, "%s", host);
      return ssh_message_global_request_reply_success(message, port);
    }
  }
  return 1;
}

/* 0: answered; 1: libssh refuses it. */
static int on_message(ssh_session session, ssh_message message, void *data) {
  (void)data;
  switch (ssh_message_type(message)) {
    case SSH_REQUEST_AUTH:
      return authenticate(session, message);
    case SSH_REQUEST_CHANNEL_OPEN:
      return open_channel(message);
    case SSH_REQUEST_CHANNEL:
      return channel_request(message);
    case SSH_REQUEST_GLOBAL:
      return global_request(message);
  }
  return 1;
}

/* What the client sends goes to the program. True if something moved. */
static int forth(struct stream *s) {
  if (s->in < 0) return 0;
  if (s->written == s->held) {
    s->written = 0;
    s->held = ssh_channel_read_nonblocking(s->channel, s->buffer, sizeof s->buffer, 0);
    if (s->held < 0) s->held = 0;
    if (s->held == 0) {
      if (!ssh_channel_is_eof(s->channel)) return 0;
      if (s->in == s->out) shutdown(s->in, SHUT_WR);
      else close(s->in);
      s->in = -1;
      return 1;
    }
  }
  int n = write(s->in, s->buffer + s->written, s->held - s->written);
  if (n < 0 && errno == EAGAIN) return 0;
  s->written = n < 0 ? s->held : s->written + n;
  return 1;
}

/* What the program writes goes to the client. True if something moved. */
static int back(struct stream *s, int *fd, int is_stderr) {
  char buffer[32768];
  uint32_t room = ssh_channel_window_size(s->channel);
  if (*fd < 0 || room == 0) return 0;
  int n = read(*fd, buffer, room < sizeof buffer ? room : sizeof buffer);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n > 0) {
    if (is_stderr) ssh_channel_write_stderr(s->channel, buffer, n);
    else ssh_channel_write(s->channel, buffer, n);
    return 1;
  }
  if (*fd != s->in) close(*fd);
  *fd = -1;
  return 1;
}

static int pump(struct stream **slot) {
  struct stream *s = *slot;
  int moved = forth(s) | back(s, &s->out, 0) | back(s, &s->err, 1);
  if (moved && s->out < 0 && s->err < 0) ssh_channel_send_eof(s->channel);
  int over = s->out < 0 && s->err < 0 && (s->child || s->in < 0);
  if (!over && ssh_channel_is_open(s->channel)) return moved;
  if (s->child) {
    int status;
    if (over) waitpid(s->child, &status, 0);
    else kill(s->child, SIGHUP);
    if (over && WIFEXITED(status)) ssh_channel_request_send_exit_status(s->channel, WEXITSTATUS(status));
  }
  if (s->in >= 0) close(s->in);
  if (s->out >= 0 && s->out != s->in) close(s->out);
  ssh_channel_close(s->channel);
  free(s);
  *slot = NULL;
  return 1;
}

static int answer_callers(ssh_session session) {
  int moved = 0;
  for (struct listener *l = listeners; l < listeners + LISTENERS; l++) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    int fd = l->fd > 0 ? accept(l->fd, (void *)&from, &size) : -1;
    if (fd < 0) continue;
    moved = 1;
    ssh_channel channel = ssh_channel_new(session);
    int said = ssh_channel_open_reverse_forward(channel, l->host, l->port, inet_ntoa(from.sin_addr), ntohs(from.sin_port));
    if (said == SSH_OK) join(channel, fd, fd, -1, 0);
    else close(fd);
  }
  return moved;
}

static void serve(ssh_session session) {
  ssh_event event = ssh_event_new();
  ssh_set_message_callback(session, on_message, NULL);
  if (ssh_handle_key_exchange(session) != SSH_OK) {
    fprintf(stderr, "%s\n", ssh_get_error(session));
    return;
  }
  ssh_event_add_session(event, session);
  for (int moved = 0; ssh_is_connected(session);) {
    if (ssh_event_dopoll(event, moved ? 0 : 5) == SSH_ERROR) break;
    moved = answer_callers(session);
    for (int i = 0; i < STREAMS; i++)
      if (streams[i]) moved |= pump(&streams[i]);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  arguments = argv;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
  int port = 0, fd = listen_on("127.0.0.1", &port);
  fcntl(fd, F_SETFL, 0);
  printf("listening %d\n", port);
  fflush(stdout);
  for (;;) {
    int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
    if (fork() == 0) {
      close(fd);
      ssh_bind bind = ssh_bind_new();
      ssh_session session = ssh_new();
      ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY, argv[1]);
      if (ssh_bind_accept_fd(bind, session, socket) != SSH_OK) fprintf(stderr, "%s\n", ssh_get_error(bind));
      else serve(session);
      _exit(0);
    }
    close(socket);
  }
}
