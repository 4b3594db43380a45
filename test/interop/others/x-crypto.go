// Go's x/crypto/ssh as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

var step = "start"

func report(ok bool, why string) {
	line, _ := json.Marshal(map[string]interface{}{"step": step, "ok": ok, "error": why})
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		report(false, err.Error())
		os.Exit(1)
	}
}

func want(right bool, what string) {
	if !right {
		check(fmt.Errorf("not as expected: %s", what))
	}
}

func done(name string) {
	step = name
	report(true, "")
}

func dial(auth ssh.AuthMethod) *ssh.Client {
	known, err := knownhosts.New(os.Getenv("TARGET_KNOWN"))
	check(err)
	address := net.JoinHostPort(os.Getenv("TARGET_HOST"), os.Getenv("TARGET_PORT"))
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User:            os.Getenv("TARGET_USER"),
		Auth:            []ssh.AuthMethod{auth},
		HostKeyCallback: known,
		// knownhosts has all three, so the one that is preferred by default would do as well.
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	check(err)
	return client
}

func key() ssh.AuthMethod {
	pem, err := os.ReadFile(os.Getenv("TARGET_KEY"))
	check(err)
	signer, err := ssh.ParsePrivateKey(pem)
	check(err)
	return ssh.PublicKeys(signer)
}

func runs(client *ssh.Client, command, out, stderr string, status int) {
	session, err := client.NewSession()
	check(err)
	var said, complained bytes.Buffer
	session.Stdout, session.Stderr = &said, &complained
	err = session.Run(command)
	if exit, failed := err.(*ssh.ExitError); failed {
		want(exit.ExitStatus() == status, "exit status")
	} else {
		check(err)
		want(status == 0, "exit status 0")
	}
	want(said.String() == out && complained.String() == stderr, said.String()+complained.String())
}

func pattern(size int) []byte {
	all := make([]byte, size)
	for i := range all {
		all[i] = byte(i*31 + i>>8)
	}
	return all
}

// half is a stream that can be closed for writing alone. Closing it twice sends a second EOF.
type half interface {
	io.ReadWriter
	CloseWrite() error
}

func echoes(stream half, size int) {
	all := pattern(size)
	go func() {
		stream.Write(all)
		stream.CloseWrite()
		stream.CloseWrite()
	}()
	got, err := io.ReadAll(stream)
	check(err)
	want(bytes.Equal(got, all), fmt.Sprint(len(got), " bytes"))
}

func server() {
	client := dial(key())
	done("key")
	step = "exec"
	runs(client, "echo hello", "hello\n", "", 0)
	done("exec")
	step = "status"
	runs(client, "fail 7", "", "as you wish\n", 7)
	done("status")
	step = "cat"
	session, requests, err := client.OpenChannel("session", nil)
	check(err)
	go ssh.DiscardRequests(requests)
	ok, err := session.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"cat"}))
	check(err)
	want(ok, "exec")
	echoes(session, 2*1024*1024)
	session.Close()
	done("cat")
	step = "idle"
	seconds, _ := strconv.Atoi(os.Getenv("IDLE"))
	time.Sleep(time.Duration(seconds) * time.Second)
	runs(client, "echo again", "again\n", "", 0)
	done("idle")
	step = "password"
	runs(dial(ssh.Password(os.Getenv("TARGET_PASSWORD"))), "echo in", "in\n", "", 0)
	done("password")
}

func consume() {
	client := dial(key())
	target := net.JoinHostPort(os.Getenv("PEER"), os.Getenv("LINE"))
	step = "half-close"
	stream, err := client.Dial("tcp", target)
	check(err)
	echoes(stream.(half), 300000)
	stream.Close()
	done("half-close")
	step = "close"
	stream, err = client.Dial("tcp", target)
	check(err)
	stream.Write([]byte("so long"))
	stream.Close()
	stream, err = client.Dial("tcp", target)
	check(err)
	echoes(stream.(half), 300000)
	done("close")
}

func provide() {
	client := dial(key())
	step = "plugged"
	listener, err := client.Listen("tcp", "0.0.0.0:"+os.Getenv("LINE"))
	check(err)
	done("plugged")
	for {
		stream, err := listener.Accept()
		check(err)
		go func() {
			io.Copy(stream, stream)
			stream.(half).CloseWrite()
			stream.(half).CloseWrite()
			stream.Close()
		}()
	}
}

func once() {
	client := dial(key())
	step = "pty"
	session, err := client.NewSession()
	check(err)
	check(session.RequestPty("xterm", 25, 81, ssh.TerminalModes{}))
	out, err := session.Output("stty size; exit 3")
	exit, failed := err.(*ssh.ExitError)
	want(failed && exit.ExitStatus() == 3 && strings.Contains(string(out), "25 81"), string(out))
	done("pty")
}

func main() {
	map[string]func(){"server": server, "consume": consume, "provide": provide, "once": once}[os.Args[1]]()
}
