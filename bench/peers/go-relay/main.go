// A program: the switchboard's data path as one would write it on golang.org/x/crypto/ssh. Arguments: host key, public key that may sign in.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
)

// What tcpip-forward (RFC 4254 §7.1), direct-tcpip and forwarded-tcpip (§7.2) carry.
type forward struct {
	Host string
	Port uint32
}
type open struct {
	Host     string
	Port     uint32
	FromHost string
	FromPort uint32
}

// Who has plugged in what: user:port.
var lines sync.Map

func main() {
	config := &ssh.ServerConfig{}
	permitted, _, _, _, err := ssh.ParseAuthorizedKey(read(os.Args[2]))
	check(err)
	config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), permitted.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}
	hostKey, err := ssh.ParsePrivateKey(read(os.Args[1]))
	check(err)
	config.AddHostKey(hostKey)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		socket, err := listener.Accept()
		check(err)
		go serve(socket, config)
	}
}

func serve(socket net.Conn, config *ssh.ServerConfig) {
	conn, channels, requests, err := ssh.NewServerConn(socket, config)
	if err != nil {
		return
	}
	go func() {
		for request := range requests {
			var wanted forward
			ok := request.Type == "tcpip-forward" && ssh.Unmarshal(request.Payload, &wanted) == nil
			if ok {
				name := fmt.Sprintf("%s:%d", conn.User(), wanted.Port)
				lines.Store(name, conn)
				defer lines.Delete(name)
			}
			request.Reply(ok, nil)
		}
	}()
	for channel := range channels {
		go call(channel)
	}
}

func call(near ssh.NewChannel) {
	var wanted open
	if near.ChannelType() != "direct-tcpip" || ssh.Unmarshal(near.ExtraData(), &wanted) != nil {
		near.Reject(ssh.UnknownChannelType, "not offered")
		return
	}
	owner, found := lines.Load(fmt.Sprintf("%s:%d", wanted.Host, wanted.Port))
	if !found {
		near.Reject(ssh.ConnectionFailed, "no such line")
		return
	}
	far, farRequests, err := owner.(*ssh.ServerConn).OpenChannel("forwarded-tcpip", ssh.Marshal(&open{"localhost", wanted.Port, wanted.FromHost, wanted.FromPort}))
	if err != nil {
		near.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	go ssh.DiscardRequests(farRequests)
	accepted, nearRequests, err := near.Accept()
	if err != nil {
		far.Close()
		return
	}
	go ssh.DiscardRequests(nearRequests)
	done := make(chan struct{})
	go func() {
		pass(far, accepted)
		close(done)
	}()
	pass(accepted, far)
	<-done
	far.Close()
	accepted.Close()
}

// One direction: end of data is passed on, and the other direction goes on.
func pass(to, from ssh.Channel) {
	io.Copy(to, from)
	to.CloseWrite()
}

func read(file string) []byte {
	content, err := os.ReadFile(file)
	check(err)
	return content
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
