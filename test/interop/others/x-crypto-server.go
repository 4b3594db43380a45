// A server of golang.org/x/crypto/ssh: HOSTKEY USER PASSWORD AUTHORIZED_KEYS; prints "listening PORT". It ends each stream as many
// Go programs do, by two calls of CloseWrite one behind the other.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
)

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func config(hostKey, user, password, authorized string) *ssh.ServerConfig {
	pem, err := os.ReadFile(hostKey)
	fatal(err)
	signer, err := ssh.ParsePrivateKey(pem)
	fatal(err)
	allowed := map[string]bool{}
	lines, err := os.ReadFile(authorized)
	fatal(err)
	for len(bytes.TrimSpace(lines)) > 0 {
		key, _, _, rest, err := ssh.ParseAuthorizedKey(lines)
		fatal(err)
		allowed[string(key.Marshal())] = true
		lines = rest
	}
	permit := func(ok bool) (*ssh.Permissions, error) {
		if ok {
			return nil, nil
		}
		return nil, errors.New("refused")
	}
	c := &ssh.ServerConfig{
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return permit(meta.User() == user && allowed[string(key.Marshal())])
		},
		PasswordCallback: func(meta ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			return permit(meta.User() == user && string(given) == password)
		},
		KeyboardInteractiveCallback: func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			return permit(err == nil && meta.User() == user && answers[0] == password)
		},
		BannerCallback: func(ssh.ConnMetadata) string { return "welcome\n" },
	}
	c.AddHostKey(signer)
	return c
}

// Copies both ways; each end is told of the other's.
func join(channel ssh.Channel, socket *net.TCPConn) {
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		io.Copy(socket, channel)
		socket.CloseWrite()
		both.Done()
	}()
	go func() {
		io.Copy(channel, socket)
		channel.CloseWrite()
		channel.CloseWrite()
		both.Done()
	}()
	both.Wait()
	channel.Close()
	socket.Close()
}

func direct(request ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if ssh.Unmarshal(request.ExtraData(), &to) != nil {
		request.Reject(ssh.ConnectionFailed, "malformed")
		return
	}
	socket, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		request.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := request.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	join(channel, socket.(*net.TCPConn))
}

func session(request ssh.NewChannel) {
	channel, requests, err := request.Accept()
	if err != nil {
		return
	}
	for each := range requests {
		command := ""
		switch each.Type {
		case "pty-req":
			each.Reply(true, nil)
			continue
		case "exec":
			var what struct{ Command string }
			ssh.Unmarshal(each.Payload, &what)
			command = what.Command
		case "shell":
			command = "exec sh"
		default:
			each.Reply(false, nil)
			continue
		}
		each.Reply(true, nil)
		go run(channel, command)
	}
}

func run(channel ssh.Channel, command string) {
	child := exec.Command("sh", "-c", command)
	stdin, _ := child.StdinPipe()
	child.Stdout = channel
	child.Stderr = channel.Stderr()
	child.Start()
	go func() {
		io.Copy(stdin, channel)
		stdin.Close()
	}()
	child.Wait()
	channel.CloseWrite()
	channel.CloseWrite()
	channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(child.ProcessState.ExitCode())}))
	channel.Close()
}

type address struct {
	Host string
	Port uint32
}

func remote(connection *ssh.ServerConn, requests <-chan *ssh.Request) {
	listeners := map[address]net.Listener{}
	defer func() {
		for _, each := range listeners {
			each.Close()
		}
	}()
	for each := range requests {
		var at address
		switch each.Type {
		case "tcpip-forward":
			ssh.Unmarshal(each.Payload, &at)
			listener, err := net.Listen("tcp", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
			if err != nil {
				each.Reply(false, nil)
				continue
			}
			if at.Port == 0 {
				at.Port = uint32(listener.Addr().(*net.TCPAddr).Port)
				each.Reply(true, ssh.Marshal(struct{ Port uint32 }{at.Port}))
			} else {
				each.Reply(true, nil)
			}
			listeners[at] = listener
			go called(connection, at, listener)
		case "cancel-tcpip-forward":
			ssh.Unmarshal(each.Payload, &at)
			listener, ok := listeners[at]
			if ok {
				listener.Close()
				delete(listeners, at)
			}
			each.Reply(ok, nil)
		default:
			each.Reply(false, nil)
		}
	}
}

func called(connection *ssh.ServerConn, at address, listener net.Listener) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		from := socket.RemoteAddr().(*net.TCPAddr)
		channel, requests, err := connection.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
			Host       string
			Port       uint32
			OriginHost string
			OriginPort uint32
		}{at.Host, at.Port, from.IP.String(), uint32(from.Port)}))
		if err != nil {
			socket.Close()
			continue
		}
		go ssh.DiscardRequests(requests)
		go join(channel, socket.(*net.TCPConn))
	}
}

func serve(socket net.Conn, c *ssh.ServerConfig) {
	connection, channels, requests, err := ssh.NewServerConn(socket, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	go remote(connection, requests)
	for each := range channels {
		switch each.ChannelType() {
		case "session":
			go session(each)
		case "direct-tcpip":
			go direct(each)
		default:
			each.Reject(ssh.UnknownChannelType, "unknown")
		}
	}
}

func main() {
	c := config(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(err)
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		socket, err := listener.Accept()
		fatal(err)
		go serve(socket, c)
	}
}
