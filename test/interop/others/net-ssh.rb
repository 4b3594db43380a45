# Ruby's net-ssh as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
require 'json'
require 'net/ssh'

$step = 'start'

def done(name = $step)
  puts({ step: name, ok: true }.to_json)
  $stdout.flush
end

def want(right, what)
  raise "not as expected: #{what}" unless right
end

def pattern(size)
  Array.new(size) { |i| (i * 31 + (i >> 8)) & 255 }.pack('C*')
end

def dial(**how)
  # With Debian's system-wide configuration: its SendEnv makes net-ssh send "env" on every channel, forwarded ports included.
  options = {
    port: ENV['TARGET_PORT'].to_i, user_known_hosts_file: [ENV['TARGET_KNOWN']], global_known_hosts_file: '/dev/null',
    verify_host_key: :always, use_agent: false, config: ['/etc/ssh/ssh_config'], non_interactive: true
  }
  Net::SSH.start(ENV['TARGET_HOST'], ENV['TARGET_USER'], options.merge(how))
end

def with_key
  dial(keys: [ENV['TARGET_KEY']], keys_only: true, auth_methods: ['publickey'])
end

# Runs a command to its end; `sent` goes to its input.
def command(ssh, line, sent: nil, terminal: false)
  out, err, status = String.new, String.new, nil
  channel = ssh.open_channel do |ch|
    ch.request_pty(term: 'xterm', chars_wide: 81, chars_high: 25) { |_, ok| want(ok, 'pty') } if terminal
    ch.exec(line) do |_, ok|
      want(ok, 'exec')
      ch.send_data(sent) if sent
      ch.eof! if sent
    end
    ch.on_data { |_, data| out << data }
    ch.on_extended_data { |_, _, data| err << data }
    ch.on_request('exit-status') { |_, data| status = data.read_long }
  end
  channel.wait
  [out, err, status]
end

def server
  ssh = with_key
  done 'key'
  $step = 'exec'
  want(command(ssh, 'echo hello') == ["hello\n", '', 0], 'echo')
  done
  $step = 'status'
  want(command(ssh, 'fail 7') == ['', "as you wish\n", 7], 'fail')
  done
  $step = 'cat'
  sent = pattern(2 * 1024 * 1024)
  out, _, status = command(ssh, 'cat', sent: sent)
  want(out == sent && status == 0, "#{out.bytesize} bytes")
  done
  $step = 'idle'
  until_ = Time.now + ENV['IDLE'].to_i
  ssh.loop(0.1) { Time.now < until_ }
  want(command(ssh, 'echo again')[0] == "again\n", 'echo')
  ssh.close
  done
  $step = 'password'
  ssh = dial(password: ENV['TARGET_PASSWORD'], keys: [], auth_methods: ['password'])
  want(command(ssh, 'echo in')[0] == "in\n", 'echo')
  ssh.close
  done
end

def call(ssh, sent, half: true)
  out = String.new
  channel = ssh.open_channel('direct-tcpip', :string, ENV['PEER'], :long, ENV['LINE'].to_i, :string, '127.0.0.1', :long, 4000) do |ch|
    ch.send_data(sent)
    half ? ch.eof! : ch.close
  end
  channel.on_data { |_, data| out << data }
  channel.on_open_failed { |_, _, why| raise why }
  channel.wait
  out
end

def consume
  ssh = with_key
  sent = pattern(300_000)
  $step = 'half-close'
  want(call(ssh, sent) == sent, 'echo')
  done
  $step = 'close'
  call(ssh, 'so long', half: false)
  want(call(ssh, sent) == sent, 'echo')
  ssh.close
  done
end

def provide
  ssh = with_key
  $step = 'plugged'
  ssh.forward.remote(ENV['ECHO'].to_i, '127.0.0.1', ENV['LINE'].to_i, 'localhost')
  ssh.loop(0.1) { ssh.forward.active_remotes.empty? }
  done
  ssh.loop(0.1) { true }
end

def once
  ssh = with_key
  $step = 'pty'
  out, _, status = command(ssh, 'stty size; exit 3', terminal: true)
  want(out.include?('25 81') && status == 3, out)
  done
  # otssh has closed the connection.
  exit!(0)
end

begin
  { 'server' => method(:server), 'consume' => method(:consume), 'provide' => method(:provide), 'once' => method(:once) }[ARGV[0]].call
rescue Exception => e
  puts({ step: $step, ok: false, error: e.message }.to_json) unless e.is_a?(SystemExit)
  raise
end
