//go:build cgo

// Command keyward-pkcs11 is the process that has the hardware token: it loads the PKCS#11
// module of the token's maker, a C library, and serves keyward over a Unix socket. It is
// the only part of keyward that is not static. docs/hardware.md tells how to run it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/keyward/keyward/internal/hsm/daemon"
	"github.com/keyward/keyward/internal/hsm/token"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

const (
	pinCredential = "keyward-pin"
	exitFailed    = 1
	exitUsage     = 2
	exitHung      = 75 // EX_TEMPFAIL: start it again
)

const usage = `Usage: keyward-pkcs11 --module FILE --token LABEL --socket PATH [--pin-file FILE] [--user USER]...
用法：keyward-pkcs11 --module 文件 --token 标签 --socket 路径 [--pin-file 文件] [--user 用户]...

Serve the keys of a hardware token (PKCS#11) to keyward on this machine.
为本机的 keyward 提供硬件令牌（PKCS#11）中的密钥。

`

// settings are what the command line says.
type settings struct {
	module, label, serial, socket, pinFile string
	sessions                               int
	users                                  []int
}

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "keyward-pkcs11:", err)
		os.Exit(exitUsage)
	}
	err = run(s, logger)
	if err != nil {
		logger.Error("the helper ends", "error", err)
	}
	switch {
	case errors.Is(err, token.ErrHung):
		os.Exit(exitHung)
	case err != nil:
		os.Exit(exitFailed)
	}
}

func parse(args []string) (s settings, err error) {
	f := flag.NewFlagSet("keyward-pkcs11", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	f.StringVar(&s.module, "module", "", "`FILE` of the PKCS#11 module | PKCS#11 模块文件")
	f.StringVar(&s.label, "token", "", "`LABEL` of the token | 令牌标签")
	f.StringVar(&s.serial, "serial", "", "serial `NUMBER`, if several tokens have the label | 序列号（多个令牌同名时）")
	f.StringVar(&s.socket, "socket", "", "`PATH` of the socket to serve on | 监听的套接字路径")
	f.StringVar(&s.pinFile, "pin-file", "", "`FILE` (0600) with the PIN; default the systemd credential "+pinCredential+" | PIN 文件（0600）；默认为 systemd 凭据")
	f.IntVar(&s.sessions, "sessions", 8, "sessions with the token at once, `N` | 与令牌的并发会话数")
	f.Func("user", "`USER` that may connect, by name or number; default who runs this; may be repeated | 允许连接的用户，可重复", func(name string) error {
		uid, err := userID(name)
		s.users = append(s.users, uid)
		return err
	})
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if len(s.users) == 0 {
		s.users = []int{os.Geteuid()}
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("there is an argument too many: %q", f.Arg(0))
	case s.module == "" || s.label == "" || s.socket == "":
		return s, errors.New("--module, --token and --socket are needed; --help explains them")
	case s.sessions < 1 || s.sessions > 256:
		return s, errors.New("--sessions must be between 1 and 256")
	}
	return s, nil
}

// userID answers the number of a user.
func userID(name string) (int, error) {
	if uid, err := strconv.Atoi(name); err == nil && uid >= 0 {
		return uid, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// run serves until a signal comes.
func run(s settings, logger *slog.Logger) error {
	if err := seal.Harden(); err != nil { // the PIN passes through this process
		logger.Warn("the process is not fully protected", "error", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t, err := token.New(token.Options{
		Module: s.module, Label: s.label, Serial: s.serial, Sessions: s.sessions, PIN: s.pin,
		Marker: s.socket + ".pin", Now: time.Now, Logger: logger,
	})
	if err != nil {
		return err
	}
	l, err := daemon.Listen(s.socket, s.users)
	if err != nil {
		return err
	}
	server := &daemon.Server{Token: t, Users: s.users, Logger: logger}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- server.Run(ctx, l)
		cancel()
	}()
	logger.Info("serving", "socket", s.socket)
	if err := t.Run(ctx); err != nil {
		return err // at once: a module that hangs is not waited for
	}
	return <-served
}

// pin reads the PIN.
func (s settings) pin() (material.Bytes, error) {
	if s.pinFile != "" {
		return seal.ReadPassphrase(s.pinFile)
	}
	return seal.ReadCredential(pinCredential)
}
