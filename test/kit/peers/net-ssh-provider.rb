# A provider with Ruby's net-ssh: plugs in port 80 for a local port, says so, and reads nothing more until it gets a line on standard input.
require 'net/ssh'
port, user, config, target = ARGV
# A new key: net-ssh 7.0 cannot use those in OpenSSH's format with OpenSSL 3.
key = OpenSSL::PKey::EC.generate('prime256v1').to_pem
options = { port: port.to_i, key_data: [key], keys_only: true, verify_host_key: :never, config: [config], non_interactive: true }
Net::SSH.start('127.0.0.1', user, options) do |ssh|
  ssh.forward.remote(target.to_i, '127.0.0.1', 80, 'localhost')
  puts 'plugged in'
  $stdout.flush
  $stdin.gets
  ssh.loop { true }
end
