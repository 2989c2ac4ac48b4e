package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// limitCommand makes this program serve a limit instead of measuring.
const limitCommand = "limit"

// The limits, as the table calls them.
const (
	limitA        = "limit A"
	limitB        = "limit B"
	limitC        = "limit C"
	primitiveName = "primitive"
)

// recordSize is that of limit B's records, about what an audit record has.
const recordSize = 400

// startLimits starts the limits with answers of the given size, C only for what has a primitive.
func startLimits(dir string, size int, primitive bool) (limits []*child, err error) {
	settings := [][]string{{limitA}, {limitB, "-journal", filepath.Join(dir, "journal")}}
	if primitive {
		settings = append(settings, []string{limitC, "-sign"})
	}
	for _, set := range settings {
		l, err := startLimit(set[0], append(set[1:], "-size", strconv.Itoa(size)))
		if err != nil {
			return nil, errors.Join(err, stopAll(limits))
		}
		limits = append(limits, l)
	}
	return limits, nil
}

func stopAll(limits []*child) (err error) {
	for _, l := range limits {
		err = errors.Join(err, l.stop())
	}
	return err
}

// startLimit runs this program again, as a limit. It ends when its input does, and so
// with this process.
func startLimit(name string, flags []string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{limitCommand}, flags...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	c := &child{name: name, end: in.Close, wait: cmd.Wait}
	c.process.pid = cmd.Process.Pid
	if _, err := fmt.Fscanln(out, &c.process.address); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: reading its address: %w", name, err), c.stop())
	}
	return c, nil
}

// serveLimit is what the child does.
func serveLimit(args []string) error {
	f := flag.NewFlagSet(limitCommand, flag.ContinueOnError)
	size := f.Int("size", 0, "bytes of each answer")
	path := f.String("journal", "", "file of the records; none if empty")
	sign := f.Bool("sign", false, "sign with RSA before each answer")
	if err := f.Parse(args); err != nil {
		return err
	}
	handler := answerFixed(*size)
	if *sign {
		work, err := signRSA()
		if err != nil {
			return err
		}
		handler = workBefore(work, handler)
	}
	if *path != "" {
		file, err := os.Create(*path)
		if err != nil {
			return err
		}
		j := &journal{file: file, queue: make(chan chan error, 1024)}
		go j.run()
		handler = j.before(handler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends it
		os.Exit(0)
	}()
	return http.Serve(l, handler)
}

// answerFixed answers everything with the same JSON of size bytes.
func answerFixed(size int) http.Handler {
	const frame = `{"Value":""}`
	body := []byte(`{"Value":"` + strings.Repeat("A", max(0, size-len(frame))) + `"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // a client that has gone needs no answer
	})
}

// workBefore answers a handler that does something and then lets next answer.
func workBefore(work func() error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := work(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A journal is a file that records are made durable in, as many at once as are waiting.
type journal struct {
	file  *os.File
	queue chan chan error
}

// before answers a handler that makes a record durable and then lets next answer.
func (j *journal) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := make(chan error, 1)
		j.queue <- done
		if err := <-done; err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// run writes until the queue is closed.
func (j *journal) run() {
	record := []byte(strings.Repeat("r", recordSize-1) + "\n")
	var batch []byte
	var waiting []chan error
	for first := range j.queue {
		waiting = append(waiting[:0], first)
		batch = append(batch[:0], record...)
		for more := true; more; {
			select {
			case done := <-j.queue:
				waiting = append(waiting, done)
				batch = append(batch, record...)
			default:
				more = false
			}
		}
		_, err := j.file.Write(batch)
		if err == nil {
			err = j.file.Sync()
		}
		// The batch is durable.
		for _, done := range waiting {
			done <- err
		}
	}
}
