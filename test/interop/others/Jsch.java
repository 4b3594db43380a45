// JSch as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
import com.jcraft.jsch.Channel;
import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;

public class Jsch {
  static String step = "start";

  static void done(String name) {
    step = name;
    System.out.println("{\"step\":\"" + step + "\",\"ok\":true}");
  }

  static void want(boolean right, String what) {
    if (!right) throw new IllegalStateException("not as expected: " + what);
  }

  static String env(String name) {
    return System.getenv(name);
  }

  static byte[] pattern(int size) {
    byte[] all = new byte[size];
    for (int i = 0; i < size; i++) all[i] = (byte) (i * 31 + (i >> 8));
    return all;
  }

  static Session dial(String password) throws Exception {
    JSch jsch = new JSch();
    jsch.setKnownHosts(env("TARGET_KNOWN"));
    if (password == null) jsch.addIdentity(env("TARGET_KEY"));
    Session session = jsch.getSession(env("TARGET_USER"), env("TARGET_HOST"), Integer.parseInt(env("TARGET_PORT")));
    if (password != null) session.setPassword(password);
    session.setConfig("PreferredAuthentications", password == null ? "publickey" : "password");
    // It knows no Ed25519, and RSA with SHA-1 alone.
    session.setConfig("server_host_key", "ecdsa-sha2-nistp256");
    session.connect(60000);
    return session;
  }

  static void runs(Session session, String command, String out, String err, int status) throws Exception {
    ChannelExec channel = (ChannelExec) session.openChannel("exec");
    channel.setCommand(command);
    InputStream stdout = channel.getInputStream();
    InputStream stderr = channel.getErrStream();
    channel.connect();
    String said = new String(stdout.readAllBytes()), complained = new String(stderr.readAllBytes());
    while (!channel.isClosed()) Thread.sleep(10);
    want(said.equals(out) && complained.equals(err) && channel.getExitStatus() == status, said + complained);
    channel.disconnect();
  }

  static void echoes(Channel channel, int size) throws Exception {
    byte[] all = pattern(size);
    InputStream in = channel.getInputStream();
    OutputStream out = channel.getOutputStream();
    channel.connect();
    new Thread(() -> {
      try {
        out.write(all);
        out.close();
      } catch (Exception error) {
        error.printStackTrace();
      }
    }).start();
    byte[] got = in.readAllBytes();
    want(Arrays.equals(got, all), got.length + " of " + size + " bytes, or others");
    channel.disconnect();
  }

  static void server() throws Exception {
    Session session = dial(null);
    done("key");
    step = "exec";
    runs(session, "echo hello", "hello\n", "", 0);
    done("exec");
    step = "status";
    runs(session, "fail 7", "", "as you wish\n", 7);
    done("status");
    step = "cat";
    ChannelExec channel = (ChannelExec) session.openChannel("exec");
    channel.setCommand("cat");
    echoes(channel, 2 * 1024 * 1024);
    done("cat");
    step = "idle";
    Thread.sleep(1000 * Long.parseLong(env("IDLE")));
    runs(session, "echo again", "again\n", "", 0);
    session.disconnect();
    done("idle");
    step = "password";
    session = dial(env("TARGET_PASSWORD"));
    runs(session, "echo in", "in\n", "", 0);
    session.disconnect();
    done("password");
  }

  static void consume() throws Exception {
    Session session = dial(null);
    int line = Integer.parseInt(env("LINE"));
    step = "half-close";
    echoes(session.getStreamForwarder(env("PEER"), line), 300000);
    done("half-close");
    step = "close";
    Channel channel = session.getStreamForwarder(env("PEER"), line);
    OutputStream out = channel.getOutputStream();
    channel.connect();
    out.write("so long".getBytes());
    out.flush();
    channel.disconnect();
    echoes(session.getStreamForwarder(env("PEER"), line), 300000);
    session.disconnect();
    done("close");
  }

  static void provide() throws Exception {
    Session session = dial(null);
    step = "plugged";
    session.setPortForwardingR("localhost", Integer.parseInt(env("LINE")), "127.0.0.1", Integer.parseInt(env("ECHO")));
    done("plugged");
    while (session.isConnected()) {
      try {
        Thread.sleep(1000);
      } catch (InterruptedException late) {
        // It wakes whoever waits for the reply, sometimes after they have seen it.
      }
    }
  }

  static void once() throws Exception {
    Session session = dial(null);
    step = "pty";
    ChannelExec channel = (ChannelExec) session.openChannel("exec");
    channel.setPtyType("xterm", 81, 25, 0, 0);
    channel.setPty(true);
    channel.setCommand("stty size; exit 3");
    InputStream in = channel.getInputStream();
    channel.connect();
    String said = new String(in.readAllBytes());
    while (!channel.isClosed()) Thread.sleep(10);
    want(said.contains("25 81") && channel.getExitStatus() == 3, said);
    done("pty");
  }

  public static void main(String[] args) {
    try {
      switch (args[0]) {
        case "server" -> server();
        case "consume" -> consume();
        case "provide" -> provide();
        case "once" -> once();
        default -> throw new IllegalArgumentException(args[0]);
      }
      System.exit(0);
    } catch (Exception error) {
      System.out.println("{\"step\":\"" + step + "\",\"ok\":false,\"error\":\"" + error.toString().replaceAll("[\"\\\\\\p{Cntrl}]", " ") + "\"}");
      error.printStackTrace();
      System.exit(1);
    }
  }
}
